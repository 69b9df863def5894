"""Trace numbers of the paper to their origin, from files that the commands wrote."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flatreg import config, machine, tables
from flatreg.disk.files import read_json, write_json
from flatreg.disk.runs import run_dir
from flatreg.paper import trace
from tests.paper.study import STUDY, study_tables, write_study

MEAN = "summary/tuned/digits/1/test_loss/mean"
TEXT = rf"\val[.4f]{{{MEAN}}} \val{{count/runs}} \val{{verdict/stated/digits/test_accuracy}}"


def flatreg(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `flatreg ...` in a folder."""
    source = Path(machine.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "flatreg", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(source), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with a numbers.tex that the command wrote."""
    folder = tmp_path_factory.mktemp("study")
    flags = [flag.removeprefix(f"{folder}/") for flag in write_study(folder / "results")]
    described = machine.describe() | {"commit": "c" * 40, "dirty": False}
    for run in config.runs(STUDY):
        where = run_dir(folder / "results", *run)
        where.mkdir(parents=True)
        # One run comes from another commit.
        other = {"commit": "d" * 40} if run == config.runs(STUDY)[-2] else {}
        write_json(where / "facts.json", described | other | {"command": ["train", str(run.seed)]})
    (folder / "main.tex").write_text(TEXT)
    (folder / "generated").mkdir()
    command = ["numbers", *flags, "--text", "main.tex", "--out", "generated/numbers.tex"]
    done = flatreg(folder, *command)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def said(folder: Path, *arguments: str) -> str:
    done = flatreg(folder, "trace", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_number_is_traced_to_runs_files_commit_and_command(folder: Path) -> None:
    cell = study_tables()["metrics"].query("protocol == 'tuned' and `lambda` == '1'")
    values = cell["test_loss"].dropna()
    shown = said(folder, format(values.mean(), ".4f"))
    assert shown.startswith(f"{MEAN}\n")
    value = re.search(r"^  value     (.*)$", shown, re.MULTILINE)
    assert float(value[1]) == pytest.approx(values.mean(), rel=1e-12)
    assert "4 in all" in shown
    for row in cell[cell["test_loss"].notna()].itertuples():
        assert f"{row.key}  results/runs/tuned/digits/lambda-1/seed-{row.seed}\n" in shown
    for name in ("summary", "metrics"):
        path = f"results/tables/{name}.csv"
        digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert f"{digest}  {path}\n" in shown
    assert f"{'0' * 64}  digits, as in results/data/digits.json\n" in shown
    assert f"commit {'c' * 40}, on {machine.describe()['processor']}" in shown
    assert "3 of 4 runs" in shown
    assert f"commit {'d' * 40}" in shown
    assert "1 of 4 runs" in shown
    assert "a run by  train 0\n" in shown
    assert shown.rstrip().endswith("--text main.tex --out generated/numbers.tex")


def test_the_command_that_is_told_writes_the_same_again(folder: Path) -> None:
    (command,) = {item["command"] for item in read_json(folder / "generated/numbers.json")}
    before = (folder / "generated/numbers.json").read_bytes()
    _, *words = command.split()
    source = Path(machine.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(source)}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True)
    assert (folder / "generated/numbers.json").read_bytes() == before


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (MEAN, [MEAN]),
        (rf"\val[.4f]{{{MEAN}}}", [MEAN]),
        ("summary/tuned", [MEAN]),
        ("summary/tuned/", [MEAN]),
        ("24", ["count/runs"]),
        ("verdict", ["verdict/stated/digits/test_accuracy"]),
    ],
)
def test_what_can_be_asked_for(folder: Path, wanted: str, found: list[str]) -> None:
    items = trace.read_items(folder / "generated")
    assert [item.id for item in trace.matching(wanted, items)] == found


def test_many_runs_are_counted_and_listed_when_asked(folder: Path) -> None:
    assert "and 19 more: --runs\n" in said(folder, "count/runs")
    listed = said(folder, "count/runs", "--runs")
    assert listed.count("  results/runs/") == 24


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("23.9", "nearest: 24, "), ("summary/tuned/digits/1/test_los/mean", f"nearest: {MEAN}")],
)
def test_what_is_not_there_is_one_line_with_the_nearest(
    folder: Path, wanted: str, near: str
) -> None:
    done = flatreg(folder, "trace", wanted)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: nothing in the paper matches {wanted!r}; {near}")
    assert done.stderr.count("\n") == 1


def test_a_study_without_a_paper_is_one_line(folder: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", STUDY)
    done = flatreg(tmp_path, "trace", "24", "--config", "config.json")
    assert done.returncode == 2
    assert done.stderr == "error: generated has no list of numbers; make the paper first\n"
    done = flatreg(tmp_path, "trace", "24")
    assert done.stderr.startswith("error: results/config.json is missing; ")


@pytest.fixture(scope="module")
def clone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as after a clone: the reference, without own results."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(root / "results/reference", folder / "results/reference")
    for name in (
        "paper/main.tex",
        "paper/original.json",
        "bench/results/cost.json",
        "bench/results/frontier.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, folder / name)
    return folder


def test_right_after_a_clone_the_reference_answers(clone: Path) -> None:
    summary = tables.read(clone / "results/reference/summary.csv", tables.SUMMARY_TABLE)
    cell = "protocol == 'literal' and dataset == 'cifar100' and `lambda` == '0'"
    row = summary.query(f"{cell} and metric == 'test_accuracy'").iloc[0]
    done = flatreg(clone, "trace", format(row["mean"], ".4f"))
    assert done.returncode == 0, done.stderr
    place = "table_cifar100/literal/0/test_accuracy/mean"
    assert place in done.stdout.splitlines()
    shown = done.stdout.partition(f"{place}\n")[2].partition("\ntable_")[0]
    assert f"  value     {float(row['mean'])!r}" in shown
    assert f"  runs      {row['n']} in all" in shown
    assert "results/reference/summary.csv" in shown
    facts = read_json(clone / "results/reference/facts.json")
    assert all(f"commit {commit}, on " in shown for commit in facts["commits"])
