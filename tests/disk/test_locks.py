"""Locks end with the processes that hold them, however these end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flatreg.disk import locks
from flatreg.errors import UserError

HOLD = (
    "import sys, time; from pathlib import Path; from flatreg.disk import locks; {};"
    "print('held', flush=True); time.sleep(60)"
)


def holding(how: str) -> subprocess.Popen[str]:
    """A process that holds a lock of the given kind."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(how)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_claim_is_refused_in_a_line_while_another_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "results/.lock"
    process = holding(f"kept = locks.claim(Path({str(path)!r}))")
    assert locks.is_held(path)
    with pytest.raises(UserError, match=rf"is in use by another snakemake, process {process.pid}"):
        locks.claim(path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not locks.is_held(path), "a kill leaves nothing to unlock"
    assert f"process {process.pid} on" in locks.holder(path)
    with locks.claim(path):
        assert locks.is_held(path)


def test_sharers_share_and_are_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "jobs.lock"
    locks.wait_for_sharers(path, "nobody")
    assert capsys.readouterr().out == ""
    first, second = (holding(f"kept = locks.share(Path({str(path)!r}))") for _ in range(2))
    waiting = subprocess.Popen(
        [
            *[sys.executable, "-c"],
            "import sys; from pathlib import Path; from flatreg.disk import locks;"
            f"locks.wait_for_sharers(Path({str(path)!r}), 'two jobs')",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert waiting.stdout.readline() == "waiting for two jobs\n"
    first.kill()
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.3)
    second.kill()
    assert waiting.wait(20) == 0
    for process in (first, second, waiting):
        process.communicate()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        locks.claim(tmp_path / "file/lock")
