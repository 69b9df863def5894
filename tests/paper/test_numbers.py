"""The numbers that a text cites."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flatreg import config, tables
from flatreg.disk.files import read_json
from flatreg.errors import UserError
from flatreg.evidence import ledger
from flatreg.paper import flowcharts, numbers, places, sources
from flatreg.paper.provenance import Fact
from flatreg.paper.sources import Sources
from flatreg.paper.tables import results
from flatreg.tables.evidence import VERDICTS
from flatreg.tables.registry import EVIDENCE

BY_METRIC = [*tables.CELL, "metric"]
ENTRY = {
    "lambdas": ["0", "0.1"],
    "seeds": [0, 1],
    "source": "digits",
    "model": {"name": "mlp", "hidden": [64, 32], "dropout": 0.3},
    "penalty": {"interval": 10, "probes": 5, "distribution": "rademacher"},
}


def summary_row(lam: str, metric: str, mean: float, diverged: int = 0) -> dict[str, Any]:
    columns = dict.fromkeys(tables.SUMMARY_TABLE.columns, float("nan"))
    place = {"protocol": "stated", "dataset": "digits", "lambda": lam, "metric": metric}
    return columns | place | {"n": 3 - diverged, "diverged": diverged, "mean": mean, "sd": 0.01}


def test_row(lam: str, metric: str, difference: float, p: float) -> dict[str, Any]:
    columns = dict.fromkeys(tables.TESTS_TABLE.columns, float("nan"))
    place = {"protocol": "stated", "dataset": "digits", "lambda": lam, "metric": metric}
    sizes = {"n": 3, "n_baseline": 3, "detectable": 3.1}
    return columns | place | sizes | {"difference": difference, "welch_p_holm": p}


test_row.__test__ = False


@pytest.fixture
def found() -> Sources:
    metrics = [m for m, *_ in results.BLOCKS]
    summary = [summary_row("0", m, 0.9) for m in metrics]
    summary += [summary_row("0.1", m, 0.8, diverged=1) for m in metrics]
    return Sources(
        config={
            "protocols": {
                "stated": {"extends": None, "datasets": {"digits": ENTRY}, "seeds": [0, 1]}
            },
            "analysis": {"alpha": 0.05},
            "paths": {"results": "results/demo", "pdf": "results/demo/paper.pdf"},
        },
        metrics=pd.DataFrame(
            {
                **{"protocol": "stated", "dataset": "digits", "lambda": ["0", "0.1"]},
                **{"status": ["completed", "diverged"], "steps": [10, 0], "key": ["a", "b"]},
                **{metric: [0.9, float("nan")] for metric in metrics},
            }
        ),
        summary=pd.DataFrame(summary).set_index(BY_METRIC),
        tests=pd.DataFrame([test_row("0.1", m, -0.1, 0.01) for m in metrics]).set_index(BY_METRIC),
        times=pd.DataFrame({"train_seconds": [3600.0, 1800.0]}),
        manifests={"digits": {"splits": {"train": {"examples": 1437}}, "classes": 10}},
        original={"digits": {"0": {"test_accuracy": 0.5, "seconds": 2.0}}},
        bench={"networks": {"cifar100": {"ways": {"gram": {"ratio": 3.71}}}}},
        frontier={"networks": {"cifar100": {"spreads": {"gram, 5 probes": 0.2449}}}},
        evidence={
            "claims": pd.DataFrame(
                {"claim": ["gain"], "protocol": "stated", "p": 0.0004, "verdict": "supported"}
            )
        },
        paths=defaultdict(lambda: Path("a_file")),
    )


@pytest.mark.parametrize(
    ("place", "pattern", "written"),
    [
        ("summary/stated/digits/0/test_accuracy/mean", ".4f", "0.9000"),
        ("test/stated/digits/0.1/test_accuracy/welch_p_holm", "", "0.010"),
        ("original/digits/0/test_accuracy", ".2f", "0.50"),
        ("data/digits/splits/train/examples", "", "1{,}437"),
        ("config/protocols/stated/seeds", "", "0, 1"),
        ("config/analysis/alpha", "percent", r"5\%"),
        ("bench/networks/cifar100/ways/gram/ratio", "", "3.7"),
        ("frontier/networks/cifar100/spreads/gram, 5 probes", "", "0.24"),
        ("count/runs", "", "2"),
        ("count/stated/diverged", "", "1"),
        ("detectable/stated/digits", "", "3.1"),
        ("claim/gain/stated/p", "", "$<$0.001"),
        ("claim/gain/stated/verdict", "", "supported"),
    ],
)
def test_a_place_is_looked_up(found: Sources, place: str, pattern: str, written: str) -> None:
    assert numbers.resolve(place, pattern, found).text == written


def test_a_verdict_names_direction_p_and_n(found: Sources) -> None:
    said = numbers.resolve("verdict/stated/digits/test_accuracy", "", found)
    assert said.text == r"$\lambda=0.1$ ($p$ = 0.010) lowered it ($n$ = 3 and 3)"


def test_a_verdict_without_significance_says_so() -> None:
    row = {"difference": -0.1, "welch_p_holm": 0.5, "n": 3, "n_baseline": 3}
    said = numbers.verdict({"0.1": row}, alpha=0.05)
    assert said.startswith(r"no $\lambda$ changed it detectably (smallest adjusted $p$ = 0.500")
    untested = {"0.1": row | {"welch_p_holm": float("nan")}}
    assert numbers.verdict(untested, alpha=0.05) == "no lambda could be tested"


def test_macros_hold_what_the_text_names_and_no_more(found: Sources, tmp_path: Path) -> None:
    text = tmp_path / "main.tex"
    text.write_text(
        "Of \\val{count/runs} runs% not \\val{nothing/here}\n"
        "\\when{cifar100}{\\val{summary/stated/cifar100/0/test_accuracy/mean}}\n"
        "\\when{cifar100}{\\val{claim/loss/stated/p}}\n"
    )
    written = numbers.macros(text, found).text
    assert written.startswith("\\defval{@count/runs}{2}\n\\defpart{")
    assert "\\defpart{digits}\n" in written
    assert "\\defpart{stated}\n" in written
    assert written.count("\\defval") == 1


def test_what_a_study_lacks_is_left_out_inside_when_alone(found: Sources, tmp_path: Path) -> None:
    row = {"dataset": "digits", "metric": "test_loss", "source": "all", "protocol": "stated"}
    variance = pd.DataFrame([row | {"lambda": "0.1", "sd": 0.25}])
    found = found._replace(evidence=found.evidence | {"variance": variance})
    text = tmp_path / "main.tex"
    place = "\\val{variance/digits/test_loss/order/sd}"
    text.write_text(f"\\when{{only_order}}{{{{so}} \\{{ {place}\n\n}}\n", encoding="utf-8")
    assert "\\defval" not in numbers.macros(text, found).text
    for outside in (place, f"\\when{{only_order}}{{}}{place}", f"\\when{{digits}}{{{place}}}"):
        text.write_text(outside, encoding="utf-8")
        with pytest.raises(UserError, match="nothing at digits/test_loss/order"):
            numbers.macros(text, found)


VERDICT = "claim/gain/stated/verdict"


def others(*words: str) -> str:
    return ", ".join(verdict for verdict in VERDICTS if verdict not in words)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_text_follows_the_verdict(found: Sources, tmp_path: Path, verdict: str) -> None:
    claims = found.evidence["claims"].assign(verdict=verdict)
    text = tmp_path / "main.tex"
    chances = {"supported": "count/runs", "reversed": "count/diverged"}
    text.write_text(
        "".join(
            f"\\pick{{{VERDICT}}}{{{word}}}{{It is {{so}}: \\val{{{place}}}}}\n"
            for word, place in chances.items()
        )
        + f"\\pick{{{VERDICT}}}{{{others(*chances)}}}{{Nothing.}}"
    )
    written = numbers.macros(text, found._replace(evidence={"claims": claims})).text
    for word, place in chances.items():
        assert (f"\\defpart{{{VERDICT}={word}}}" in written) == (word == verdict)
        assert (f"@{place}}}" in written) == (word == verdict)
    assert (f"={others(*chances)}}}" in written) == (verdict not in chances)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        *[(0.1, 0.4, "above"), (-0.4, -0.1, "below"), (-0.1, 0.4, "around")],
        *[(0.0, 0.4, "around"), (float("nan"), 0.4, "unknown")],
    ],
)
def test_a_direction_follows_the_interval(
    found: Sources, low: float, high: float, word: str
) -> None:
    claims = found.evidence["claims"].assign(low=low, high=high)
    there = found._replace(evidence={"claims": claims})
    place = "direction/{}/low/high/claim/gain/stated"
    assert places.look_up(place.format(0), there).value == word
    if word == "above":
        assert places.look_up(place.format(0.5), there).value == "below"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("supported", "has no text for .*reversed"),
        (others() + ", refuted", "cannot be refuted"),
    ],
)
def test_a_text_has_words_for_every_verdict(
    found: Sources, tmp_path: Path, words: str, problem: str
) -> None:
    text = tmp_path / "main.tex"
    text.write_text(f"A line.\n\\pick{{{VERDICT}}}{{{words}}}{{It is.}}")
    with pytest.raises(UserError, match=rf"main.tex, line 2: \\pick.* {problem}") as caught:
        numbers.macros(text, found)
    assert "\n" not in str(caught.value)


def test_a_text_cannot_follow_a_number(found: Sources, tmp_path: Path) -> None:
    text = tmp_path / "main.tex"
    text.write_text("\\pick{count/runs}{2}{Two.}")
    with pytest.raises(UserError, match="text can depend on the verdict"):
        numbers.macros(text, found)


def test_every_part_that_the_paper_names_is_one_of_the_whole_study(root: Path) -> None:
    """Otherwise its text would never be printed."""
    study = config.read([root / "config.yaml"], root / "workflow/schemas/config.schema.json")
    schema = read_json(root / "workflow/schemas/claims.schema.json")
    claims = ledger.read(root / "claims.yaml", schema, study, root / "bench/results/cost.json")
    known = numbers.datasets(study) | set(study["protocols"]) | set(EVIDENCE)
    known |= {claim.name for claim in claims}
    text = (root / "paper/main.tex").read_text(encoding="utf-8")
    named = set(re.findall(r"\\when\{(\w+)\}\{", text))
    assert len(named) > 8
    # `NAME` comes from a comment, and `digits` is only in the demo.
    assert named - known == {"NAME", "digits"}


def test_the_help_lists_every_kind_of_place() -> None:
    lines = places.described().splitlines()
    assert len(lines) == len(places.KINDS) > 20
    assert "    grim/DATASET/N_TEST/RUNS/COLUMN " in places.described()


def test_data_files_are_named_from_the_folder_of_the_pdf(found: Sources) -> None:
    paths = {name: Path("results/demo/tables") / f"{name}.csv" for name in sources.FLAGS}
    named = numbers.data_files(
        found._replace(evidence={}, paths=paths | {"bench": Path("bench/cost.json")})
    )
    assert named["summary"] == "tables/summary.csv"
    assert named["epochs"] == "tables/epochs.csv"
    assert named["surfaces"] == "surfaces"
    assert named["bench"] == "../../bench/cost.json"


@pytest.mark.parametrize(
    "place",
    [
        *["count/cats", "summary/stated/digits/7/test_accuracy/mean", "config/no", "what/is"],
        *["claim/gain/tuned/p", "claim/gain/stated/q"],
        *["summary/stated/digits", "data/digits/splits/train/examples/1"],
    ],
)
def test_a_lost_place_is_one_line_with_file_and_line(
    found: Sources, tmp_path: Path, place: str
) -> None:
    text = tmp_path / "main.tex"
    text.write_text(f"One line.\n\\val{{{place}}}\n")
    with pytest.raises(UserError, match=r"main.tex, line 2: \\val\{") as caught:
        numbers.macros(text, found)
    assert "\n" not in str(caught.value)


def test_a_table_marks_diverged_runs_and_missing_numbers(found: Sources) -> None:
    lines = results.table(found, "digits").text.splitlines()
    accuracy = next(line for line in lines if line.startswith("0.1 & "))
    assert accuracy == r"0.1 & -- & 0.8000 (0.01) & 0.010 & 2$^{\dagger1}$ \\"
    assert any(line.startswith("0 & 0.5000 & 0.9000 (0.01) &  & 3") for line in lines)


def test_flow_charts_follow_the_config(found: Sources) -> None:
    classes = {"digits": Fact(10, "classes", [], ["digits.json"])}
    chart = flowcharts.models_chart(found.config, classes, "config.json").text
    for part in ("dense 64, ReLU", "dense 32, ReLU", "dropout 0.3", "dense 10}", "softmax"):
        assert part in chart
    step = flowcharts.step_chart(found.config, "config.json")
    assert "$k=10$" in step.text
    assert "$M=5$ probes" in step.text
    assert [(item.id, item.printed) for item in step.items] == [
        ("flow_step/interval", "10"),
        ("flow_step/probes", "5"),
    ]
