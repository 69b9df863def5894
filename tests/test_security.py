"""External text reaches no shell, interpreter or page, and no files outside its folder."""

from __future__ import annotations

import copy
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flatreg import config
from flatreg.data import download
from flatreg.data.prepared import read_arrays
from flatreg.disk.runs import load_params
from flatreg.errors import UserError
from flatreg.paper import compile as paper
from flatreg.paper import latex
from tests import configs

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text(encoding="utf-8"))
HOSTILE = [
    *("'; touch pwned; '", '"; touch pwned; "', "$(touch pwned)", "`touch pwned`"),
    *("x\ntouch pwned", "../../pwned", "a && touch pwned", "{input}", "-rf", "\x00", "%s%n"),
]


def strings(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every string in a config."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from strings(part, (*path, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from strings(part, (*path, number))
    elif isinstance(value, str):
        yield path


# ── The config ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_the_config_takes_what_a_shell_would_read(text: str) -> None:
    """Every string field refuses shell syntax, or is a path of letters, digits and . _ - / only."""
    texts = strings(configs.whole_study())
    places = {tuple("*" if isinstance(p, int) else p for p in path): path for path in texts}
    assert len(places) > 60
    for path in places.values():
        try:
            config.load(configs.changed(path, text), SCHEMA)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert path[0] in ("paths", "claims", "questions"), path
            assert text in ("../../pwned", "-rf"), path


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", ["protocol", "dataset"])
def test_no_name_of_the_config_leaves_its_folder_or_its_word(kind: str, text: str) -> None:
    changed = configs.whole_study()
    if kind == "protocol":
        changed["protocols"][text] = copy.deepcopy(changed["protocols"]["stated"])
    else:
        entries = changed["protocols"]["stated"]["datasets"]
        entries[text] = entries["breast_cancer"] | {"source": "breast_cancer"}
    with pytest.raises(UserError) as refused:
        config.load(changed, SCHEMA)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("field", ["optimizer_arguments", "schedule"])
def test_arguments_of_an_optimizer_are_no_text(field: str) -> None:
    """Any name is allowed, but no string value: optax does not check types."""
    changed = configs.whole_study()
    arguments = {"name": "constant_schedule"} if field == "schedule" else {}
    changed["protocols"]["stated"]["training"][field] = arguments | {"value": HOSTILE[2]}
    with pytest.raises(UserError, match=rf"{field}.value: must be a number or true or false"):
        config.load(changed, SCHEMA)


# ── Archives and pickles ──────────────────────────────────────────────────────


def archive_of(path: Path, name: str, *, size: int = 3, link: str | None = None) -> Path:
    """A .tar.gz with one member."""
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = 0 if link else size
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, link
        archive.addfile(member, None if link else io.BytesIO(bytes(size)))
    return path


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_an_archive_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = archive_of(tmp_path / "a.tar.gz", name)
    with pytest.raises(download.DownloadError, match="points outside its folder"):
        list(download.members(path))


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.tar.gz", "passwords", link="/etc/passwd")
    assert list(download.members(path)) == []


def test_an_archive_that_grows_past_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LARGEST_BYTES", 1_000_000)
    path = archive_of(tmp_path / "bomb.tar.gz", "zeros", size=1_000_001)
    assert path.stat().st_size < 10_000
    with pytest.raises(download.DownloadError, match="holds more than 1000000 bytes"):
        list(download.members(path))


class Hostile:
    """An object whose pickle creates a file when it is loaded."""

    def __reduce__(self) -> tuple:
        return open, ("pwned", "w")


@pytest.mark.parametrize("read", [read_arrays, load_params])
def test_arrays_are_read_without_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "arrays.npz", x=np.array([Hostile()], dtype=object))
    with pytest.raises(UserError, match="is broken"):
        read(tmp_path / "arrays.npz")
    assert not (tmp_path / "pwned").exists()


def test_the_library_itself_reads_no_pickle() -> None:
    """Only scikit-learn reads a pickle, its cache of 20 Newsgroups in the folder the user chose."""
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in ("import pickle", "joblib", "allow_pickle=True")), (
            path
        )


# ── LaTeX ─────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_latex_runs_without_a_shell(tmp_path: Path) -> None:
    (tmp_path / "main.tex").write_text(
        r"\documentclass{article}\begin{document}\immediate\write18{touch pwned}x\end{document}"
    )
    paper.compile_in(tmp_path)
    assert (tmp_path / "main.pdf").exists()
    assert not (tmp_path / "pwned").exists()


@pytest.mark.slow
def test_text_from_outside_is_printed_as_it_is(tmp_path: Path) -> None:
    """Unescaped, the text would read a file, end the document, or stop LaTeX."""
    words = [r"\input{/etc/passwd}", r"\end{document}", "100% $x$ #1 ~ ^ _ & {", *HOSTILE[:3]]
    body = "\n\n".join(latex.escape(text) for text in words)
    text = rf"\documentclass{{article}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "main.tex").write_text(text, encoding="utf-8")
    paper.compile_in(tmp_path)
    assert (tmp_path / "main.pdf").exists()
    assert "root:x:0" not in (tmp_path / "main.log").read_text(errors="replace")
