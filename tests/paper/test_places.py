"""The provenance of a number: the runs of an item give its value again."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from flatreg import labels
from flatreg.disk.files import write_json
from flatreg.errors import UserError
from flatreg.paper import places, provenance, sources
from flatreg.paper.sources import Sources
from flatreg.paper.tables import cells, ledger, results, variance
from tests.paper.study import LAMBDAS, PROTOCOLS, write_study


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command-line flags of a study's files."""
    return write_study(tmp_path_factory.mktemp("study"))


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
            "correlation/all/digits/sharpness/test_accuracy/tau",
            *(-0.5, 23, ["correlations.csv", "flatness.csv", "metrics.csv"]),
        ),
        ("claims/supported", 1, 2, ["claims.csv", "claim_runs.csv"]),
        ("claims/undetermined", 0, 0, ["claims.csv", "claim_runs.csv"]),
        ("claims/decided", 1, 2, ["claims.csv", "claim_runs.csv"]),
        ("rescaled/4/tr_h2/ratio", 95.5, 1, ["reparametrization.csv"]),
        ("overall/tuned/0.01/iqm", 0.5, 10, ["overall.csv", "metrics.csv"]),
        ("test_set/tuned/digits/0/low", 0.25, 5, ["test_sets.csv", "metrics.csv"]),
        ("grim/digits/200/3/fitting", 10, 0, ["grim.csv", "original.json"]),
        (
            "check/difference/digits/0.01/test_accuracy/lambda 0/200/3/images",
            *(4.0, 0, ["checks.csv", "original.json"]),
        ),
        (
            "check/smallest/digits/words/words/words/-/-/value",
            *(600.0, 0, ["checks.csv", "original.json"]),
        ),
        ("false_outcomes/high", 0.03, 0, ["false_outcomes.csv"]),
        ("coverage/t: mean/words/3/coverage", 0.94, 0, ["calibration.csv"]),
        ("config/protocols/stated/datasets/digits/lambdas/2", "1", 0, ["config.json"]),
        ("data/digits/classes", 10, 0, ["digits.json"]),
        ("original/digits/0/seconds", 2.0, 0, ["original.json"]),
        ("bench/ways/0/ratio", 3.25, 0, ["bench.json"]),
        ("frontier/ways/0/spread", 0.024, 0, ["frontier.json"]),
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
        ("cat/1", "'cat' is not a kind of place"),
        (
            "variance/digits/test_loss/order/sd",
            "variance.csv has nothing at digits/test_loss/order",
        ),
        ("claim/loss/stated/p", "claims.csv has nothing at loss/stated"),
        ("count/cats", "'cats' cannot be counted"),
        ("claims/nice", "'nice' is not a verdict; known are supported, reversed"),
        ("grim/digits/100/3/fitting", "grim.csv has nothing at digits/100/3"),
    ],
)
def test_a_lost_place(found: Sources, place: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        places.look_up(place, found)


def test_a_table_that_was_not_given_is_named(found: Sources) -> None:
    with pytest.raises(UserError, match="add --claims"):
        places.look_up("claim/gain/stated/p", found._replace(evidence={}))


def test_every_number_of_a_table_has_an_item(found: Sources) -> None:
    done = results.table(found, "digits")
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


def test_the_ledger_shows_each_claim_and_its_signs_elsewhere(found: Sources) -> None:
    first = found.evidence["claims"].assign(
        **{"statement": "tr(H^2) falls with lambda.", "unit": "ratio", "estimate": 0.5},
        **{"low": 0.25, "high": 1234.5, "family": "secondary", "registered": "exploratory"},
        **{"p_adjusted": 0.03, "equivalence_p_adjusted": 0.5},
    )
    other = first.assign(protocol="tuned", verdict="undetermined", family="robustness")
    asked = first.assign(claim="more", statement="Nobody says it.", family="asked")
    asked = asked.assign(verdict="not testable", registered="yes")
    claims = pd.concat([asked, first, other], ignore_index=True)
    done = ledger.table(found._replace(evidence=found.evidence | {"claims": claims}))
    (row,) = [line for line in done.text.splitlines() if "falls" in line]
    assert row == (
        r"$\mathrm{tr}(H^2)$ falls with $\lambda$. (exploratory) & $\times$ 0.5 [0.25, 1{,}234] & "
        r"0.030 & 0.500 & -- & 3 & \textbf{supported} & \emph{stated}; tuned ? \\"
    )
    titles = [line for line in done.text.splitlines() if line.startswith(r"\multicolumn")]
    assert titles == [
        rf"\multicolumn{{8}}{{@{{}}l}}{{\emph{{{labels.FAMILIES[name]}}}}} \\"
        for name in ("secondary", "asked")
    ]
    assert done.text.index("falls") < done.text.index(titles[1]) < done.text.index("Nobody")
    by_id = {item.id: item for item in done.items}
    assert by_id["ledger/gain/stated/low"].value == 0.25
    assert by_id["ledger/gain/stated/estimate"].runs == [f"{n:016x}" for n in (0, 1)]
    assert by_id["ledger/gain/tuned/verdict"].printed == "?"


def test_the_spread_shows_each_source_with_its_runs(found: Sources) -> None:
    row = found.evidence["variance"].assign(share=1.0, sampling_sd=0.0125)
    rows = pd.concat([row.assign(metric=metric) for metric in ("test_accuracy", "tr_h2")])
    done = variance.table(found._replace(evidence=found.evidence | {"variance": rows}))
    assert "0.2500" in done.text
    assert all(item.printed for item in done.items)
    sd = next(item for item in done.items if item.id.endswith("/sd"))
    assert (sd.value, len(sd.runs)) == (0.25, 4)


def test_the_appendix_has_every_cell(found: Sources) -> None:
    done = cells.table(found)
    rows = [line for line in done.text.splitlines() if line.startswith(("stated &", "tuned &"))]
    assert len(rows) == len(PROTOCOLS) * len(LAMBDAS)
    by_id = {item.id: item for item in done.items}
    assert len(by_id) == len(done.items) == len(rows) * 8
    place = "appendix/tuned/digits/1"
    assert by_id[f"{place}/test_accuracy/n"].printed == "4"
    assert by_id[f"{place}/test_accuracy/diverged"].printed == "1"
    sd = by_id[f"{place}/tr_h2/sd"]
    assert sd.value == pytest.approx(values(found, sd.runs, "tr_h2").std())
    assert rows[-1] == (
        f"tuned & Digits & 1 & 4 & 1 & {by_id[f'{place}/test_accuracy/mean'].printed} "
        f"({by_id[f'{place}/test_accuracy/sd'].printed}) & {by_id[f'{place}/tr_h2/mean'].printed} "
        f"({sd.printed}) & \\texttt{{{by_id[f'{place}/key'].value}}} \\\\"
    )


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
