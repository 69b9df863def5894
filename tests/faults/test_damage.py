"""Files damaged after they were written: checksums detect them, and they are made again."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.demo import (
    PDF,
    RESULTS,
    ROOT,
    RUN,
    SMALL,
    TABLES,
    TARGET,
    Demo,
    assert_made_up_for,
    assert_no_traceback,
    assert_paper_made_anew,
    assert_trained,
    finish,
    wait_for_command,
)

pytestmark = pytest.mark.slow


def cut(path: Path, moment: np.random.Generator) -> None:
    """Cut a file short."""
    size = path.stat().st_size
    os.truncate(path, int(moment.integers(0, size)))


def flip(path: Path, moment: np.random.Generator, bits: int = 1) -> None:
    """Flip some bits of a file but keep its times, like a failing disk."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    for place in moment.integers(0, len(content), bits):
        content[place] ^= 1 << int(moment.integers(8))
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("file", "trained"),
    [
        (RUN / "metrics.json", True),
        (RUN / "params.npz", True),
        (RUN / "last.npz", True),
        (RUN / "epochs.csv", True),
        (RUN / "curvature.json", False),
        (TARGET, False),
        (TABLES / "epochs.csv", False),
    ],
    ids=str,
)
def test_a_file_that_is_cut_short_is_made_anew(
    demo: Demo, moment: np.random.Generator, file: Path, trained: bool
) -> None:
    cut(demo.folder / file, moment)
    output = assert_made_up_for(demo, retrained=trained)
    assert f"{file} is damaged: moved to {file}.damaged, to be made again" in " ".join(
        output.split()
    )


def test_a_dry_run_names_what_is_damaged_and_leaves_it(demo: Demo) -> None:
    flip(demo.folder / TARGET, np.random.default_rng(0))
    damaged = (demo.folder / TARGET).read_bytes()
    output = demo.again("--dry-run")
    assert f"{TARGET} is damaged: a run will make it again" in " ".join(output.split())
    assert (demo.folder / TARGET).read_bytes() == damaged


@pytest.mark.parametrize("injection", range(2))
def test_prepared_data_with_flipped_bits_are_made_anew(
    demo: Demo, moment: np.random.Generator, injection: int
) -> None:
    data = RESULTS / "data/digits.npz"
    flip(demo.folder / data, moment, bits=int(moment.integers(1, 20)))
    demo.take_away()
    output = assert_made_up_for(demo)
    assert f"{data} was damaged: made again" in " ".join(output.split())
    assert (demo.folder / data).read_bytes() == (ROOT / data).read_bytes()


@pytest.mark.parametrize("injection", range(8))
def test_a_checkpoint_with_flipped_bits(
    demo: Demo, tmp_path: Path, moment: np.random.Generator, injection: int
) -> None:
    checkpoints, out = tmp_path / "checkpoints", tmp_path / "killed"
    stopped(demo, checkpoints, out, moment)
    files = sorted(p for p in checkpoints.glob("*/epochs/*/**/*") if p.is_file())
    for path in files:
        if path.stat().st_size:
            flip(path, moment, bits=4)
    code, output = finish(demo.do(demo.train(checkpoints, out)))
    assert code == 0, output
    assert "is broken, going back" in output
    assert_trained(out)


@pytest.mark.parametrize("injection", range(2))
def test_a_checkpoint_of_another_run_in_its_place(
    demo: Demo, tmp_path: Path, moment: np.random.Generator, injection: int
) -> None:
    """The other checkpoint is that of another seed: same shapes, intact, with a valid checksum."""
    other = SMALL.replace("seed-1", "seed-0")
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    stopped(demo, theirs, tmp_path / "other", moment, other)
    stopped(demo, ours, tmp_path / "killed", moment)
    (their_place,), (our_place,) = theirs.iterdir(), ours.iterdir()
    shutil.rmtree(our_place)
    shutil.copytree(their_place, our_place)
    code, output = finish(demo.do(demo.train(ours, tmp_path / "killed")))
    assert code == 0, output
    assert_trained(tmp_path / "killed")
    assert "is broken, going back (it is of " in output


def test_the_cache_of_compiled_programs_is_removed_in_the_middle(
    demo: Demo, moment: np.random.Generator
) -> None:
    process = demo.begin()
    wait_for_command(process, "flatreg.train")
    time.sleep(moment.uniform(0, 3))
    shutil.rmtree(demo.folder / RESULTS / "compiled", ignore_errors=True)
    code, output = finish(process)
    assert code == 0, output
    assert_made_up_for(demo)


@pytest.mark.parametrize("damage", [cut, flip])
def test_the_cache_of_compiled_programs_is_damaged(
    demo: Demo, moment: np.random.Generator, damage: object
) -> None:
    demo.take_away()
    demo.again()
    for path in (demo.folder / RESULTS / "compiled").rglob("*"):
        if path.is_file() and path.stat().st_size:
            damage(path, moment)
    demo.take_away()
    assert_made_up_for(demo)


# ── LaTeX ─────────────────────────────────────────────────────────────────────


def test_latex_fails_on_one_table(demo: Demo, moment: np.random.Generator) -> None:
    """One line says where, there is no partial PDF, and the re-run restores the table."""
    tables = sorted((demo.folder / RESULTS / "paper").glob("table_[bd]*.tex"))
    table = tables[moment.integers(len(tables))]
    demo.take_away_paper()
    table.write_text(r"\undefined" + table.read_text())
    code, output = finish(demo.do(compile_command(demo)))
    assert code == 2
    assert output.startswith("error: paper/main.tex: LaTeX stops: Undefined control sequence")
    assert output.count("\n") == 1
    assert not (demo.folder / PDF).exists()
    assert_paper_made_anew(demo)


def test_latex_is_killed(demo: Demo, moment: np.random.Generator) -> None:
    demo.take_away_paper()
    process = demo.start(target=PDF)
    latex = wait_for_command(process, "flatreg.paper.compile")
    time.sleep(moment.uniform(0, 4))
    for victim in (*latex.children(recursive=True), latex):
        victim.send_signal(signal.SIGKILL)
    _, output = finish(process)
    assert_no_traceback(output)
    assert_paper_made_anew(demo)


def stopped(
    demo: Demo, checkpoints: Path, out: Path, moment: np.random.Generator, name: str = SMALL
) -> None:
    """Train for a few epochs and stop by SIGTERM, so that there are checkpoints."""
    process = demo.do(demo.train(checkpoints, out, [name]))
    epoch = int(moment.integers(2, 7))
    while process.poll() is None and not list(checkpoints.glob(f"*/epochs/{epoch}")):
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    code, output = finish(process)
    assert code == 128 + signal.SIGTERM, output
    assert list(checkpoints.glob("*/epochs/*/record"))


def compile_command(demo: Demo) -> list[str]:
    """The command with which the rule compiles the paper."""
    generated = sorted((demo.folder / RESULTS / "paper").glob("*.tex"))
    figures = sorted((demo.folder / RESULTS / "figures").glob("*.pdf"))
    return [
        *[sys.executable, "-m", "flatreg.paper.compile", "--text", "paper/main.tex"],
        *["--references", "paper/references.bib", "--generated", *map(str, generated)],
        *["--provenance", *(str(path.with_suffix(".json")) for path in generated)],
        *["--figures", *map(str, figures), "--out", str(PDF)],
    ]
