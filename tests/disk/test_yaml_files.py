"""YAML as people write it: what is no mapping of each key once is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flatreg.disk.yaml_files import read_yaml
from flatreg.errors import UserError


def read(folder: Path, content: bytes | str) -> object:
    path = folder / "file.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(path, "name a file")


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}\n",
        "a: &x {b: 1}\ne: &y {c: 2}\nd: {<<: [*x, *y], b: 3, c: 4}\n",
        "a: &x {b: 1}\ne: &y {c: 2}\nd:\n  <<: *x\n  <<: *y\n",
        'a: {1: x, "1": y}\n',
        '{\n\t"a": 1,\n\t"b": [1, 2.5, null]\n}\n',
        "\ufeffa: ü\n",
        "",
    ],
)
def test_what_is_right_is_read_as_by_yaml(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "{}: line 3: 'a' is there twice; keep one"),
        ("a:\n  b: {c: 1, c: 1}\n", "{}: line 2: 'c' is there twice; keep one"),
        ("a: [{b: 1}, {b: 1, b: 2}]\n", "{}: line 1: 'b' is there twice; keep one"),
        ("\na: &x\n  b: *x\n", "{}: line 2: an alias (*) of a section that it is in; write it out"),
        (b"\xff\xfel\0a\0", "{} is not text; save it in UTF-8, or name another file"),
        (b"a: \0\1\2", "{} is not text; save it in UTF-8, or name another file"),
        (b"a: \xe4", "{} is not text; save it in UTF-8, or name another file"),
        ("a: " + "[" * 3000 + "]" * 3000, "{} is nested too deeply; write fewer levels"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, content: bytes | str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    assert str(caught.value) == line.format(tmp_path / "file.yaml")


@pytest.mark.parametrize("text", ["a: [1\n", "a: 2024-13-45\n", "a: !!python/name:os.system\n"])
def test_what_is_not_yaml_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"file\.yaml is not YAML: ") as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: No such file or directory; name a file"):
        read_yaml(tmp_path / "none.yaml", "name a file")
