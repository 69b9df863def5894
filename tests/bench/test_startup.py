"""The bench of start-ups reads Python's own lines, and measures the workflow's commands."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from bench import startup
from flatreg.errors import UserError
from tests.conftest import ROOT

LINES = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   json.decoder
import time:      2900 |       3000 | json
some warning: 7000 | 8000 | nonsense
import time:   1500000 |    1500000 |     jax._src.core
import time:      5000 |    1505000 |   jax
import time:     20000 |    1525000 | optax
"""


def test_own_times_are_summed_by_package() -> None:
    found = startup.startup([startup.parsed(LINES)])
    assert found == (1.528, {"jax": 1.505, "optax": 0.02, "Python": 0.003})


def test_the_smallest_time_of_each_module_counts() -> None:
    processes = [{"a": 2000, "a.b": 5000, "c": 1000}, {"a": 9000, "a.b": 1000, "c": 4000}]
    assert startup.startup(processes) == (0.004, {"a": 0.003, "c": 0.001})


def test_only_the_largest_shares_are_kept() -> None:
    total, packages = startup.startup([{f"package{n}.part": 1000 * n for n in range(1, 9)}])
    assert total == pytest.approx(0.036)
    assert list(packages) == [f"package{n}" for n in (8, 7, 6, 5, 4)]


def test_a_slow_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow/__init__.py").write_text("import slow.part\n")
    (tmp_path / "slow/part.py").write_text("import time\ntime.sleep(0.2)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    begun = time.perf_counter()
    found = startup.startup([startup.own_times(["-c", "import slow"])])
    assert 0.2 <= found.packages["slow"] <= found.seconds <= time.perf_counter() - begun


def test_a_command_that_fails_is_one_line() -> None:
    with pytest.raises(UserError, match="python -c import nowhere failed: ModuleNotFoundError"):
        startup.own_times(["-c", "import nowhere"])


def test_every_command_of_the_rules_is_measured() -> None:
    rules = [path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")]
    called = {word for text in rules for word in re.findall(r"python -m (flatreg\S+)", text)}
    assert len(called) > 20
    assert called <= set(startup.command_lines())


def test_the_slowest_command_comes_first_with_its_ratio() -> None:
    times = {"jax": startup.Startup(0.5, {"jax": 0.4}), "a": startup.Startup(1, {"b": 0.75})}
    _, first, second = startup.table(times).splitlines()
    assert first.split() == ["a", "1.00", "2.00", "b", "0.75"]
    assert second.split() == ["jax", "0.50", "1.00", "jax", "0.40"]
