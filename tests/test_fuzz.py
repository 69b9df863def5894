"""Fuzzing: damaged files and random command lines give a one-line error or succeed."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import flatreg.measure.__main__ as measure
import flatreg.train.__main__ as train
from flatreg import command, tables
from flatreg.data import prepare
from flatreg.data.prepared import read_arrays, write_arrays
from flatreg.disk.files import checksum_path, read_json, read_sealed, write_json, write_sealed
from flatreg.disk.runs import load_params, save_params
from flatreg.errors import UserError
from flatreg.paper import provenance
from flatreg.publish import verify
from flatreg.tables import derived

FUZZ = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def times_table(path: Path) -> None:
    rows = {name: [1.0, 2.0] for name in tables.TIMES_TABLE.columns}
    rows |= {"protocol": ["a", "a"], "dataset": ["b", "b"], "lambda": ["0", "1"], "seed": [0, 0]}
    rows |= {"steps": [1, 2], "resumed": [0, 0]}
    pd.DataFrame(rows).to_csv(path, index=False)


def manifest(path: Path) -> None:
    write_json(path, {"source": "digits", "splits": {"test": {"examples": 5}}})


# For each kind of file, a function that writes it and one that reads it.
FILES: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "table.csv": (times_table, lambda path: tables.read(path, tables.TIMES_TABLE)),
    "data.npz": (lambda path: write_arrays(path, {"x": np.arange(9)}), read_arrays),
    "params.npz": (lambda path: save_params(path, {"a": {"b": np.ones(3)}}), load_params),
    "metrics.json": (lambda path: write_sealed(path, {"status": "completed"}), read_sealed),
    "config.json": (lambda path: write_json(path, {"a": [1, 2]}), read_json),
    "items.json": (lambda path: write_json(path, [{"id": "a"}]), provenance.read),
    "manifest.json": (manifest, lambda path: derived.of_test_splits([path])),
}


@st.composite
def damages(draw: st.DrawFn, content: bytes) -> bytes:
    """The content truncated, with bytes replaced or inserted, or other content in its place."""
    start, stop = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    between = draw(st.binary(max_size=8))
    kind = draw(st.sampled_from(["cut", "replace", "insert", "other", "json"]))
    return {
        "cut": content[:stop],
        "replace": content[:start] + between + content[start + len(between) :],
        "insert": content[:start] + between + content[start:],
        "other": draw(st.binary(max_size=200)),
        "json": json.dumps(
            draw(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists))
        ).encode(),
    }[kind]


@pytest.mark.parametrize("name", FILES)
@FUZZ
@given(data=st.data())
def test_a_damaged_file_is_one_line(name: str, tmp_path: Path, data: st.DataObject) -> None:
    write, read = FILES[name]
    path = tmp_path / name
    write(path)
    # The checksum would reveal the damage before the reader sees it.
    checksum_path(path).unlink(missing_ok=True)
    path.write_bytes(data.draw(damages(path.read_bytes())))
    try:
        read(path)
    except UserError as error:
        assert "\n" not in str(error)
        assert name in str(error)


COMMANDS = {"train": train.main, "measure": measure.main, "prepare": prepare.main}
WORDS = ["--config", "--out", "--data", "--seed", "--lambda", "--threads", "--dataset", "--run"]


@pytest.mark.parametrize("name", [*COMMANDS, "verify"])
@FUZZ
@given(words=st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=8))
def test_a_command_line_is_taken_or_refused_with_exit_code_2(
    name: str, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *words])
    monkeypatch.setattr(sys, "stderr", output := io.StringIO())
    with pytest.raises(SystemExit) as ended:
        command.run(COMMANDS.get(name, verify.main))
    assert ended.value.code in (0, 2)
    if ended.value.code == 2:
        assert "error: " in output.getvalue()
        assert "Traceback" not in output.getvalue()
    assert list(tmp_path.iterdir()) == []
