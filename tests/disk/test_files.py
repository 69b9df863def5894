"""Files are written whole or not at all, and changes made by hand are detected."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from flatreg.disk import files
from flatreg.errors import UserError

RECORD = {"key": "abc", "accuracy": 0.1 + 0.2, "train": None, "nested": {"b": [1, 2.5], "a": "x"}}


def test_a_sealed_record_comes_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    files.write_sealed(path, RECORD)
    assert files.read_sealed(path) == RECORD


def test_the_order_of_its_fields_is_not_sealed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    files.write_sealed(path, RECORD)
    content = files.read_json(path)
    files.write_json(path, dict(reversed(content.items())))
    assert files.read_sealed(path) == RECORD


@pytest.mark.parametrize(
    "change", [("0.30000000000000004", "0.31"), ('"abc"', '"abd"'), ("1,", "2,")]
)
def test_a_hand_at_a_sealed_record_is_seen(tmp_path: Path, change: tuple[str, str]) -> None:
    path = tmp_path / "metrics.json"
    files.write_sealed(path, RECORD)
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    with pytest.raises(UserError, match=r"metrics\.json was changed after it was made"):
        files.read_sealed(path)


def test_a_record_without_a_seal_is_none(tmp_path: Path) -> None:
    files.write_json(tmp_path / "metrics.json", RECORD)
    with pytest.raises(UserError, match="its seal is broken"):
        files.read_sealed(tmp_path / "metrics.json")


def test_a_file_is_held_against_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "params.npz"
    path.write_bytes(b"weights")
    expected = hashlib.sha256(b"weights").hexdigest()
    files.check_sha256(path, expected)
    path.write_bytes(b"weightz")
    for _ in range(2):
        with pytest.raises(UserError, match=r"params\.npz was changed after it was made"):
            files.check_sha256(path, expected)
        path.unlink(missing_ok=True)
