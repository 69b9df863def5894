"""The check finds generated files that changed after they were written, and no others."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from flatreg.data.prepared import read_arrays, write_arrays
from flatreg.disk import intact, scratch
from flatreg.disk.files import (
    checksum_path,
    sha256,
    write_checked_json,
    write_checked_text,
    write_sealed,
)
from flatreg.disk.finished import KEPT, LAST, SUMMED
from flatreg.errors import UserError

RUN = Path("runs/stated/digits/lambda-0/seed-0")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A small results folder."""
    folder = tmp_path / "results"
    write_arrays(folder / "data/digits.npz", {"x": np.arange(100)})
    write_checked_text(folder / "tables/metrics.csv", "a,b\n1,2\n")
    write_checked_json(folder / "selection/literal/digits/lambda-0.json", {"selected": {}})
    write_checked_text(folder / "explore.html", "<html>")
    run = folder / RUN
    run.mkdir(parents=True)
    for name in (KEPT, LAST):
        (run / name).write_bytes(bytes(1000))
    (run / "epochs.csv").write_text("epoch\n1\n")
    sums = {f"{name}_sha256": sha256(run / name) for name in SUMMED}
    write_sealed(run / "metrics.json", {"accuracy": 0.5} | sums)
    write_sealed(run / "curvature.json", {"tr_h2": 1.5})
    write_sealed(run / "flatness.json", {"measures": {}})
    return folder


def damaged_names(results: Path, *others: Path) -> list[str]:
    return [str(path.relative_to(results.parent)) for path in intact.damaged(results, *others)]


def test_nothing_is_wrong_with_what_was_just_written(results: Path) -> None:
    assert damaged_names(results) == []


@pytest.mark.parametrize(
    "name",
    [
        "data/digits.npz",
        "tables/metrics.csv",
        "selection/literal/digits/lambda-0.json",
        "explore.html",
        str(RUN / "metrics.json"),
        str(RUN / "curvature.json"),
        str(RUN / "flatness.json"),
    ],
)
def test_a_changed_byte_shows(results: Path, name: str) -> None:
    content = bytearray((results / name).read_bytes())
    content[len(content) // 2] ^= 1
    (results / name).write_bytes(content)
    assert damaged_names(results) == [f"results/{name}"]


@pytest.mark.parametrize("name", SUMMED)
def test_changed_parameters_take_the_record_with_them(results: Path, name: str) -> None:
    """Snakemake would not notice that the parameters alone are missing."""
    with (results / RUN / name).open("a") as file:
        file.write("0")
    assert damaged_names(results) == [f"results/{RUN / name}", f"results/{RUN / 'metrics.json'}"]


def test_a_file_whose_time_alone_changed_is_whole(results: Path) -> None:
    for path in results.rglob("*"):
        path.touch()
    assert damaged_names(results) == []


def test_a_checksum_without_its_file_is_no_damage(results: Path) -> None:
    (results / "tables/metrics.csv").unlink()
    assert damaged_names(results) == []


def test_other_folders_and_files_are_looked_at_where_they_are_named(results: Path) -> None:
    paper = results.parent / "paper"
    write_checked_text(paper / "generated/table.tex", "x")
    write_checked_text(paper / "main.pdf", "x")
    (paper / "generated/table.tex").write_text("y")
    (paper / "main.pdf").write_text("y")
    others = (paper / "generated", paper / "main.pdf")
    assert damaged_names(results, *others) == ["paper/generated/table.tex", "paper/main.pdf"]


def test_a_record_that_is_no_json_is_damaged(results: Path) -> None:
    (results / RUN / "metrics.json").write_text(json.dumps(["seal"])[:-1])
    assert damaged_names(results) == [f"results/{RUN / 'metrics.json'}"]


def test_a_record_of_a_time_before_seals_is_left_alone(results: Path) -> None:
    (results / RUN / "metrics.json").write_text('{"accuracy": 0.5}')
    assert damaged_names(results) == []


def test_what_is_set_aside_is_not_lost(results: Path) -> None:
    path = results / "tables/metrics.csv"
    text = path.read_text()
    aside = intact.set_aside(path)
    assert not path.exists()
    assert aside.read_text() == text
    assert damaged_names(results) == []


# ── A node's own disk ─────────────────────────────────────────────────────────


def test_data_are_read_from_the_node_s_own_copy(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE", str(tmp_path / "node"))
    monkeypatch.setenv(scratch.SCRATCH, "$NODE/flatreg")
    data = results / "data/digits.npz"
    assert read_arrays(data)["x"].tolist() == [*range(100)]
    (copy,) = (tmp_path / "node/flatreg/data").iterdir()
    assert copy.read_bytes() == data.read_bytes()
    copy.write_bytes(b"rotten")
    assert read_arrays(data)["x"].tolist() == [*range(100)]
    assert copy.read_bytes() == data.read_bytes(), "a copy that is damaged is made anew"


def test_without_scratch_a_damaged_file_is_refused(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(scratch.SCRATCH, raising=False)
    data = results / "data/digits.npz"
    assert checksum_path(data).exists()
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(UserError, match="was changed after it was made"):
        read_arrays(data)


# ── The clock ─────────────────────────────────────────────────────────────────


def test_files_of_the_future_are_dated_now_and_others_left(results: Path) -> None:
    assert not intact.was_set_back([results / "tables"])
    old, new = results / "tables/metrics.csv", results / "data/digits.npz"
    before = old.stat().st_mtime_ns
    os.utime(new, (time.time() + 3600,) * 2)
    assert intact.was_set_back([results / "data"])
    assert intact.date_now([results]) == 1
    assert new.stat().st_mtime <= time.time()
    assert old.stat().st_mtime_ns == before


def test_damaged_files_are_made_again_or_set_aside(tmp_path: Path) -> None:
    again, other = tmp_path / "again.txt", tmp_path / "other.txt"
    for path in (again, other):
        write_checked_text(path, "as written")
        path.write_text("damaged")
    before = again.stat().st_mtime_ns
    script = (
        "import sys; from pathlib import Path; from flatreg.disk.files import write_checked_text;"
        "write_checked_text(Path(sys.argv[1]), 'as written')"
    )
    lines = list(intact.mend([again, other], {again: [sys.executable, "-c", script, str(again)]}))
    assert [line.partition(" ")[0] for line in lines] == [str(again), str(other)]
    assert "made again, with the same contents" in lines[0]
    assert f"moved to {other}.damaged" in lines[1]
    assert again.read_text() == "as written"
    assert again.stat().st_mtime_ns == before, "nothing is made of it again"
    assert not other.exists()


@pytest.mark.parametrize("script", ["raise SystemExit(1)", "pass"])
def test_a_command_that_does_not_make_the_file_again_mends_nothing(
    tmp_path: Path, script: str
) -> None:
    path = tmp_path / "file.txt"
    write_checked_text(path, "as written")
    path.write_text("damaged")
    (line,) = intact.mend([path], {path: [sys.executable, "-c", script]})
    assert f"moved to {path}.damaged" in line
    assert not path.exists()


def test_a_clock_that_was_set_back_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "data" / "file"
    path.parent.mkdir()
    path.touch()
    assert intact.mend_clock([path.parent], [tmp_path]) is None
    future = path.stat().st_mtime + 3600
    os.utime(path, (future, future))
    line = intact.mend_clock([path.parent], [tmp_path])
    assert "the clock was set back: gave 1 files" in line
    assert intact.mend_clock([path.parent], [tmp_path]) is None
