"""Rounds of the bench as samples: their ratios, and what a claim cannot ask of a bench."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatreg import config
from flatreg.errors import UserError
from flatreg.evidence import bench

ROOT = Path(__file__).resolve().parents[2]
STUDY = config.read([ROOT / "config.yaml"], ROOT / "workflow/schemas/config.schema.json")

COST: dict[str, Any] = {
    "about": {"gram": "ours", "reverse over reverse": "the original's"},
    "networks": {
        "cifar100": {
            "shape": {
                "inputs": 3072,
                "hidden": [512, 256],
                "outputs": 100,
                "batch": 128,
                "probes": 5,
            },
            "rounds": {"gram": [3.0, 4.0, 5.0], "reverse over reverse": [17.0, 18.0, 19.0]},
        },
        "newsgroups20": {
            "shape": {"inputs": 10000, "hidden": [], "outputs": 20, "batch": 32, "probes": 5},
            "rounds": {"gram": [1.5, 1.6, 1.7]},
        },
    },
}


def written(folder: Path, cost: Any) -> Path:
    path = folder / "cost.json"
    path.write_text(json.dumps(cost))
    return path


def test_a_sample_is_the_ratio_of_each_round(tmp_path: Path) -> None:
    cost = bench.read(written(tmp_path, COST))
    every = bench.rounds_of(cost, "cifar100", "reverse over reverse", 1)
    np.testing.assert_array_equal(every, [17, 18, 19])
    # Nine plain steps and a penalized one, over ten plain ones.
    tenth = bench.rounds_of(cost, "cifar100", "reverse over reverse", 10)
    np.testing.assert_allclose(tenth, [26 / 10, 27 / 10, 28 / 10])


def test_the_committed_bench_can_be_read() -> None:
    cost = bench.read(ROOT / "bench/results/cost.json")
    for network in cost["networks"]:
        rounds = bench.rounds_of(cost, network, "reverse over reverse", 10)
        assert len(rounds) >= 10
        middle = cost["networks"][network]["ways"]["reverse over reverse"]["ratio_interval"]
        assert np.median(rounds) == pytest.approx(middle)


def without_rounds() -> dict[str, Any]:
    cost = copy.deepcopy(COST)
    del cost["networks"]["cifar100"]["rounds"]
    return cost


@pytest.mark.parametrize("content", [without_rounds(), {}, [], {"networks": {"cifar100": None}}])
def test_a_bench_without_rounds_is_one_line(tmp_path: Path, content: Any) -> None:
    path = written(tmp_path, content)
    with pytest.raises(
        UserError, match=r"does not have the ratios of each round; type: make bench"
    ):
        bench.read(path)


def test_no_bench_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cost\.json is missing, and a claim is about time"):
        bench.read(tmp_path / "cost.json")


def test_an_unknown_way_or_network_is_one_line() -> None:
    with pytest.raises(UserError, match="no way on cifar100 'gramm'; did you mean gram"):
        bench.rounds_of(COST, "cifar100", "gramm", 10)
    with pytest.raises(UserError, match="no network 'digits'; known are cifar100, newsgroups20"):
        bench.rounds_of(COST, "digits", "gram", 10)


def test_the_bench_has_the_networks_of_the_study() -> None:
    for dataset in COST["networks"]:
        bench.check_network(COST, STUDY, "stated", dataset)


@pytest.mark.parametrize(
    ("dataset", "changes", "words"),
    [
        ("cifar100", {"batch": 64}, "timed cifar100 with batch 128, and stated has 64"),
        (
            "cifar100",
            {"model": {"name": "mlp", "hidden": [8]}},
            "hidden [512, 256], and stated has [8]",
        ),
        ("newsgroups20", {"model": {"name": "x", "outputs": 1}}, "outputs 20, and stated has 1"),
    ],
)
def test_another_network_is_one_line(dataset: str, changes: dict[str, Any], words: str) -> None:
    study = copy.deepcopy(STUDY)
    study["protocols"]["stated"]["datasets"][dataset] |= changes
    with pytest.raises(UserError, match=re.escape(words)):
        bench.check_network(COST, study, "stated", dataset)


def test_another_vocabulary_or_number_of_probes_is_one_line() -> None:
    study = copy.deepcopy(STUDY)
    study["data"]["text"]["vocabulary"] = 500
    with pytest.raises(UserError, match="inputs 10000, and stated has 500"):
        bench.check_network(COST, study, "stated", "newsgroups20")
    study["protocols"]["stated"]["datasets"]["newsgroups20"]["penalty"]["probes"] = 1
    with pytest.raises(UserError, match="probes 5, and stated has 1"):
        bench.check_network(COST, study, "stated", "newsgroups20")
