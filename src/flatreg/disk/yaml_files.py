"""Files that people write in YAML: config files and ledgers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from flatreg.errors import UserError

# Written in C where PyYAML has it, which takes a tenth of the time.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path, remedy: str) -> Any:
    """The content of a YAML file; `-` is standard input.

    PyYAML keeps the last value of a key that is there twice, in silence. Here it is a mistake; a
    key that overrides one of a merge (`<<`) is none.

    Args:
        path: of the file.
        remedy: what to do if there is no such file.

    Raises:
        UserError: the file is missing, is not text, is not YAML, or has a key twice.
    """
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return _content(raw.decode("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {remedy}") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (UnicodeDecodeError, yaml.reader.ReaderError) as error:
        raise UserError(f"{path} is not text; save it in UTF-8, or name another file") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply; write fewer levels") from error


def _content(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        _check_keys(node, ())
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _check_keys(node: yaml.Node | None, above: tuple[yaml.Node, ...]) -> None:
    """Check that no key is twice in one mapping, and that no mapping or list contains itself."""
    if not isinstance(node, yaml.CollectionNode):
        return
    if any(node is other for other in above):
        raise UserError(f"{_line(node)}: an alias (*) of a section that it is in; write it out")
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        _check_mapping(node)
        parts = [value for _, value in node.value]
    for part in parts:
        _check_keys(part, (*above, node))


def _check_mapping(node: yaml.MappingNode) -> None:
    names = set()
    for key, _ in node.value:
        name = (key.tag, str(key.value))
        if name in names and key.tag != _MERGE:
            raise UserError(f"{_line(key)}: {key.value!r} is there twice; keep one")
        names.add(name)


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
