"""What a run of Snakemake says of its progress, to a pipe and to a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# Three jobs of one stage, by two rules, then six of another, then the target of the Snakefile.
RULES = {
    "Snakefile": """
include: "{progress}"
include: "early.smk"
include: "late.smk"
rule all:
    default_target: True
    input: expand("late/{{n}}", n=range(6))
""",
    "early.smk": """
rule one:
    output: "early/one"
    shell: "touch {output}"
rule more:
    output: "early/more-{n}"
    shell: "touch {output}"
""",
    "late.smk": """
rule last:
    input: "early/one", "early/more-1", "early/more-2"
    output: "late/{n}"
    log: "logs/{n}.log"
    shell: "echo number {wildcards.n} > {log}; test ! -e refuse-{wildcards.n}; touch {output}"
""",
}
# A dumb terminal has no bars.
TERMINAL = os.environ | {"TERM": "xterm"}
TENTHS = [f"{10 * n} % ({n} of 10 jobs)" for n in range(1, 11)]
COMMAND = [sys.executable, "-m", "snakemake", "--cores", "1", "--logger", "rich"]
COMMAND += ["--keep-going", "--show-failed-logs"]


@pytest.fixture
def folder(tmp_path: Path, root: Path) -> Path:
    """A folder with the two stages."""
    for name, text in RULES.items():
        if name == "Snakefile":
            text = text.format(progress=root / "workflow/rules/progress.smk")
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, *options: str) -> tuple[int, str]:
    """The exit status of Snakemake, and what it says to a pipe."""
    done = subprocess.run(
        [*COMMAND, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def run_in_terminal(folder: Path) -> tuple[int, str]:
    """The exit status of Snakemake, and what it says to a terminal."""
    main, side = pty.openpty()
    with subprocess.Popen(
        COMMAND, cwd=folder, stdout=side, stderr=side, stdin=side, env=TERMINAL
    ) as process:
        os.close(side)
        said = b""
        try:
            while part := os.read(main, 65536):
                said += part
        except OSError:  # Linux's way to say that the other side is closed
            pass
    os.close(main)
    return process.returncode, said.decode()


def progress(said: str) -> list[str]:
    """The lines that tell the progress, without their times."""
    return re.findall(r"^ +\d+:\d\d  (.*(?:done|%) \(.*\))$", said, re.MULTILINE)


def test_a_pipe_gets_a_line_per_stage_and_per_tenth(folder: Path) -> None:
    status, said = run(folder)
    assert status == 0, said
    expected = [*TENTHS[:2], "early done (3 jobs)", *TENTHS[2:8], "late done (6 jobs)", *TENTHS[8:]]
    assert progress(said) == expected
    assert "Elapsed time" in said


def test_jobs_that_go_together_are_counted_one_by_one(folder: Path) -> None:
    status, said = run(folder, "--groups", "last=end", "--group-components", "end=6")
    assert status == 0, said
    early = [*TENTHS[:2], "early done (3 jobs)", TENTHS[2]]
    assert progress(said)[: len(early)] == early
    assert "late done (6 jobs)" in progress(said)
    assert progress(said)[-1] == TENTHS[9]


def test_a_run_that_resumes_counts_what_is_left(folder: Path) -> None:
    (folder / "early").mkdir()
    for name in ("one", "more-1", "more-2"):
        (folder / "early" / name).touch()
    status, said = run(folder, "late/0", "late/1", "late/2")
    assert status == 0, said
    assert progress(said) == [
        *["33 % (1 of 3 jobs)", "66 % (2 of 3 jobs)", "late done (3 jobs)", "100 % (3 of 3 jobs)"]
    ]


def test_a_failed_job_shows_its_log_and_its_stage_is_not_done(folder: Path) -> None:
    (folder / "refuse-4").touch()
    status, said = run(folder)
    assert status == 1
    assert "number 4" in said.splitlines()
    assert "early done (3 jobs)" in progress(said)
    assert not any("late" in line for line in progress(said))


def test_a_run_with_nothing_to_do_says_so_alone(folder: Path) -> None:
    assert run(folder)[0] == 0
    status, said = run(folder)
    assert status == 0
    assert "Nothing to be done" in said
    assert progress(said) == []


@pytest.mark.parametrize("options", [["--quiet", "progress"], ["--dry-run"]])
def test_who_wants_no_progress_gets_none(folder: Path, options: list[str]) -> None:
    status, said = run(folder, *options)
    assert status == 0, said
    assert progress(said) == []


def test_a_terminal_has_bars_and_no_lines(folder: Path) -> None:
    status, said = run_in_terminal(folder)
    assert status == 0, said
    assert "Total Progress" in said
    assert "% (" not in said
    assert "early done" not in said
