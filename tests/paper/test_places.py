"""What made a number: the runs that an item names give its value again."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from flatreg import compare, config, summarize, tables
from flatreg.errors import UserError
from flatreg.files import write_json
from flatreg.paper import places, provenance, result_tables, sources
from flatreg.paper.sources import Sources

LAMBDAS = ["0", "0.01", "1"]
PROTOCOLS = {"stated": range(3), "tuned": range(5)}
STUDY = {
    "protocols": {
        name: {"datasets": {"digits": {"lambdas": LAMBDAS, "seeds": list(seeds)}}}
        for name, seeds in PROTOCOLS.items()
    },
    "analysis": {"alpha": 0.05, "power": 0.8},
}
TABLES = {
    "metrics": tables.METRICS_TABLE,
    "summary": tables.SUMMARY_TABLE,
    "tests": tables.TESTS_TABLE,
    "times": tables.TIMES_TABLE,
    **sources.EVIDENCE,
}


def study_tables() -> dict[str, pd.DataFrame]:
    """Tables of a made-up study in which one run diverged."""
    random = np.random.default_rng(0)
    runs = pd.DataFrame(config.runs(STUDY), columns=tables.RUN)
    metrics = runs.reindex(columns=list(tables.METRICS_TABLE.columns))
    for name in tables.METRICS:
        metrics[name] = random.uniform(0.1, 0.9, len(runs))
    metrics["key"] = [f"{number:016x}" for number in range(len(runs))]
    metrics["status"], metrics["data_sha256"] = "completed", "0" * 64
    metrics[["epochs", "steps"]] = 10
    # The last of tuned, lambda 1, and it stopped before it had a value.
    metrics.loc[metrics.index[-1], ["status", *tables.METRICS]] = ["diverged", *[np.nan] * 7]
    times = runs.reindex(columns=list(tables.TIMES_TABLE.columns)).assign(steps=10, resumed=0)
    times["train_seconds"] = random.uniform(1.0, 2.0, len(runs))
    claim = {"claim": "gain", "protocol": "stated"}
    correlation = {"scope": "digits", "measure": "sharpness", "target": "test_accuracy"}
    variance = {"dataset": "digits", "metric": "test_loss", "source": "all", "protocol": "tuned"}
    measured = runs.assign(key=metrics["key"], measure="sharpness", value=metrics["tr_h2"])
    return {
        "metrics": metrics,
        "times": times,
        "summary": summarize.summarize(metrics, 0.05),
        "tests": compare.compare(metrics, 0.05, 0.8),
        "claims": _row("claims", claim | {"verdict": "supported", "p": 0.04, "n": 3}),
        "claim_runs": pd.DataFrame(
            [claim | {"side": "run", "key": f"{n:016x}"} for n in (0, 1)]
            + [{"claim": "loss", "protocol": "stated", "side": "run", "key": "5"}]
        ),
        "variance": _row("variance", variance | {"lambda": "1", "sd": 0.25, "n": 4}),
        "correlations": _row("correlations", correlation | {"tau": -0.5, "n": 23}),
        "flatness": measured.dropna(),
    }


def _row(name: str, values: dict[str, Any]) -> pd.DataFrame:
    columns = TABLES[name].columns
    fillers = {"Int64": 0, "float64": np.nan}
    filled = {name: fillers.get(str(column.dtype), "words") for name, column in columns.items()}
    return pd.DataFrame([filled | values]).reindex(columns=list(columns))


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command-line flags of a study's files."""
    folder = tmp_path_factory.mktemp("study")
    flags = []
    for name, frame in study_tables().items():
        tables.write(folder / f"{name}.csv", frame, TABLES[name])
        flags += [f"--{name.replace('_', '-')}", str(folder / f"{name}.csv")]
    manifest = {"source": "digits", "classes": 10}
    original = {"results": {"digits": [{"lambda": "0", "test_accuracy": 0.5, "seconds": 2.0}]}}
    for name, content in (
        ("config", STUDY),
        ("manifests", manifest),
        ("original", original),
        ("bench", {"ways": [{"ratio": 3.25}]}),
    ):
        write_json(folder / f"{name}.json", content)
        flags += [f"--{name}", str(folder / f"{name}.json")]
    return flags


@pytest.fixture(scope="module")
def found(flags: list[str]) -> Sources:
    parser = ArgumentParser()
    sources.add_flags(parser)
    return sources.read(parser.parse_args(flags))


def values(found: Sources, runs: list[str], column: str, lam: str | None = None) -> pd.Series:
    rows = found.metrics.set_index("key").loc[runs]
    return rows.loc[rows["lambda"] == lam, column] if lam else rows[column]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("lam", LAMBDAS)
def test_the_runs_of_a_summary_give_it_again(found: Sources, protocol: str, lam: str) -> None:
    place = f"summary/{protocol}/digits/{lam}/test_loss"
    for column, again in (("mean", np.mean), ("sd", lambda v: np.std(v, ddof=1)), ("n", len)):
        fact = places.look_up(f"{place}/{column}", found)
        assert fact.value == pytest.approx(again(values(found, fact.runs, "test_loss")))
        assert [Path(file).name for file in fact.files] == ["summary.csv", "metrics.csv"]


def test_diverged_runs_make_their_count_and_no_mean(found: Sources) -> None:
    diverged = places.look_up("summary/tuned/digits/1/test_loss/diverged", found)
    mean = places.look_up("summary/tuned/digits/1/test_loss/mean", found)
    (key,) = diverged.runs
    assert found.metrics.set_index("key").loc[key, "status"] == "diverged"
    assert len(mean.runs) == 4
    assert key not in mean.runs
    assert places.look_up("count/tuned/digits/diverged", found).runs == [key]
    assert places.look_up("count/runs", found).runs == found.metrics["key"].tolist()


def test_the_runs_of_a_test_give_it_again(found: Sources) -> None:
    fact = places.look_up("test/tuned/digits/1/tr_h/welch_p", found)
    sides = [values(found, fact.runs, "tr_h", lam) for lam in ("1", "0")]
    assert [len(side) for side in sides] == [4, 5]
    assert fact.value == pytest.approx(stats.ttest_ind(*sides, equal_var=False).pvalue)
    holm = places.look_up("test/tuned/digits/1/tr_h/welch_p_holm", found)
    samples = {lam: values(found, holm.runs, "tr_h", lam) for lam in LAMBDAS}
    p = [
        stats.ttest_ind(samples[lam], samples["0"], equal_var=False).pvalue for lam in ("0.01", "1")
    ]
    assert holm.value == pytest.approx(multipletests(p, method="holm")[1][1])


def test_the_runs_of_a_cost_give_it_again(found: Sources) -> None:
    fact = places.look_up("cost/stated/digits/0.01", found)
    chosen = found.metrics[found.metrics["key"].isin(fact.runs)]
    times = study_tables()["times"].merge(chosen[tables.RUN], on=tables.RUN)
    medians = times.groupby("lambda")["train_seconds"].median()
    assert list(medians.index) == ["0", "0.01"]
    assert fact.value == pytest.approx(medians["0.01"] / medians["0"])


def test_a_verdict_is_made_by_all_lambdas(found: Sources) -> None:
    fact = places.look_up("verdict/stated/digits/test_accuracy", found)
    assert len(fact.runs) == 9
    assert list(fact.value) == ["0.01", "1"]


@pytest.mark.parametrize(
    ("place", "value", "runs", "files"),
    [
        ("claim/gain/stated/p", 0.04, 2, ["claims.csv", "claim_runs.csv"]),
        ("variance/digits/test_loss/all/sd", 0.25, 4, ["variance.csv", "metrics.csv"]),
        (
            "correlation/digits/sharpness/test_accuracy/tau",
            *(-0.5, 23, ["correlations.csv", "flatness.csv"]),
        ),
        ("config/protocols/stated/datasets/digits/lambdas/2", "1", 0, ["config.json"]),
        ("data/digits/classes", 10, 0, ["manifests.json"]),
        ("original/digits/0/seconds", 2.0, 0, ["original.json"]),
        ("bench/ways/0/ratio", 3.25, 0, ["bench.json"]),
    ],
)
def test_other_places(
    found: Sources, place: str, value: float, runs: int, files: list[str]
) -> None:
    fact = places.look_up(place, found)
    assert fact.value == value
    assert len(fact.runs) == runs
    assert set(fact.runs) <= set(found.metrics["key"])
    assert [Path(file).name for file in fact.files] == files


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("cat/1", "'cat' is no kind of place"),
        (
            "variance/digits/test_loss/order/sd",
            "variance.csv has nothing at digits/test_loss/order",
        ),
        ("claim/loss/stated/p", "claims.csv has nothing at loss/stated"),
        ("count/cats", "'cats' is not counted"),
    ],
)
def test_a_lost_place(found: Sources, place: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        places.look_up(place, found)


def test_a_table_that_was_not_given_is_named(found: Sources) -> None:
    with pytest.raises(UserError, match="add --claims"):
        places.look_up("claim/gain/stated/p", found._replace(evidence={}))


def test_every_number_of_a_table_has_an_item(found: Sources) -> None:
    done = result_tables.table("digits", found)
    by_id = {item.id: item for item in done.items}
    mean = by_id["table_digits/tuned/1/test_accuracy/mean"]
    assert mean.printed == format(mean.value, ".4f")
    assert mean.value == values(found, mean.runs, "test_accuracy").mean()
    assert by_id["table_digits/tuned/1/tr_h2/diverged"].printed == "†1"
    assert by_id["table_digits/original/0/test_accuracy"].printed == "0.5000"
    assert by_id["table_digits/stated/0.01/lambda"].printed == "0.01"
    shown = {item.printed for item in done.items}
    for row in done.text.splitlines():
        if row.startswith(tuple(f"{lam} & " for lam in LAMBDAS)):
            for word in row.removesuffix(r"\\").replace("(", "& ").replace(")", "").split("&"):
                word = word.strip().replace("$", "").replace(r"^{\dagger1}", "")
                assert word in shown | {"", "--"}, row


def test_the_command_writes_items_beside_the_numbers(flags: list[str], tmp_path: Path) -> None:
    text = tmp_path / "main.tex"
    text.write_text(r"\val[.3f]{summary/tuned/digits/1/test_loss/mean} of \val{count/runs}")
    command = ["-m", "flatreg.paper.numbers", *flags, "--text", str(text)]
    command += ["--out", str(tmp_path / "numbers.tex")]
    subprocess.run([sys.executable, *command], check=True)
    first, second = json.loads((tmp_path / "numbers.json").read_text())
    assert list(first) == list(provenance.Item._fields)
    assert first["id"] == "summary/tuned/digits/1/test_loss/mean"
    assert first["printed"] == format(first["value"], ".3f")
    assert len(first["runs"]) == 4
    assert first["command"].startswith("python")
    assert first["command"].endswith(" ".join(command[-2:]))
    assert (second["printed"], second["value"]) == ("24", 24)
    assert provenance.read(tmp_path / "numbers.json")[1].id == "count/runs"


def test_what_holds_no_items_is_one_line(tmp_path: Path) -> None:
    write_json(tmp_path / "numbers.json", [{"name": 1}])
    with pytest.raises(UserError, match=r"numbers.json holds no items"):
        provenance.read(tmp_path / "numbers.json")
