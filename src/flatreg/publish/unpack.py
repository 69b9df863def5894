"""Unpack an archive of a study into its results, so that its paper is made anew without training.

Nothing is written before every file has been checked against the archive's list. If the results
hold this archive already, its missing and changed files are put back.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from flatreg import command, config
from flatreg.config import Config
from flatreg.disk import locks
from flatreg.disk.files import sha256, unsealed
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.publish.archive import LAYOUT, LIST, RUN_FILES

# The archive in a folder such as results/reference.
NAME = "archive.tar.xz"
REMEDY = "get the archive again"


def main() -> None:
    """Unpack an archive into the results of the study that config files describe."""
    arguments = _parse()
    study = config.read(arguments.config, arguments.schema)
    results = Path(study["paths"]["results"])
    contents = read(arguments.archive)
    check(contents, str(arguments.archive), study)
    results.mkdir(parents=True, exist_ok=True)
    with locks.claim(results / ".lock"):
        check_place(contents, results)
        place(contents, results)
    print(f"{len(contents)} files of {arguments.archive} are in {results}")


# ── Reading ───────────────────────────────────────────────────────────────────


def read(archive: Path) -> dict[str, bytes]:
    """All files of an archive by name: of a tar, of an unpacked one, or of a folder that has one.

    Raises:
        UserError: there is none, it is broken, or a table beside it is not that of its study.
    """
    if not archive.exists():
        raise UserError(f"{archive} is missing; name an archive, such as results/reference")
    if not archive.is_dir():
        return read_tar(archive)
    if (archive / LIST).exists():
        return read_folder(archive)
    if (archive / NAME).exists():
        contents = read_tar(archive / NAME)
        check_tables(archive, contents)
        return contents
    raise UserError(
        f"{archive} is no archive of a study: it has neither {LIST} nor {NAME}; write one with "
        "flatreg archive"
    )


def read_tar(path: Path) -> dict[str, bytes]:
    """All files of a tar by name.

    Raises:
        UserError: it is no tar, it is broken, or something in it is no file.
    """
    contents = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isdir():
                    continue
                file = tar.extractfile(member)
                if file is None:
                    raise UserError(f"{path}: {member.name} is no file; {REMEDY}")
                contents[PurePosixPath(member.name).as_posix()] = file.read()
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise UserError(
            f"{path} is no archive of a study, or is broken ({error}); {REMEDY}"
        ) from error
    return contents


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files that the list of an unpacked archive names, and the list itself."""
    text = (folder / LIST).read_bytes()
    names = [n for n in read_list(text, f"{folder}/{LIST}")["files"] if (folder / n).is_file()]
    return {LIST: text} | {name: (folder / name).read_bytes() for name in names}


def read_list(text: bytes, where: str) -> dict[str, Any]:
    """The list of an archive, without its seal.

    Args:
        text: of archive.json.
        where: names it in the message of an error.

    Raises:
        UserError: it is no list of this layout, or was changed.
    """
    try:
        listing = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where} is not valid JSON ({error}); {REMEDY}") from error
    layout = listing.get("layout") if isinstance(listing, dict) else None
    if layout != LAYOUT:
        raise UserError(
            f"{where} has layout {layout}, and this version of flatreg reads {LAYOUT}; check out "
            "the commit that wrote it"
        )
    return unsealed(listing, Path(where))


# ── Checks ────────────────────────────────────────────────────────────────────


def check(contents: dict[str, bytes], where: str, study: Config) -> None:
    """Check the files of an archive against its list, and its list against a study.

    Args:
        contents: of `read`.
        where: names the archive in the message of an error.
        study: the completed config.

    Raises:
        UserError: a file is missing, was changed or is not in the list, a run is missing, or the
            archive is of another study.
    """
    if LIST not in contents:
        raise UserError(f"{where} is no archive of a study: it has no {LIST}; {REMEDY}")
    listing = read_list(contents[LIST], f"{where}: {LIST}")
    check_study(listing, study, where)
    for name, expected in listing["files"].items():
        if name not in contents:
            raise UserError(f"{where}: {name} is missing; {REMEDY}")
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise UserError(f"{where}: {name} was changed after it was archived; {REMEDY}")
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"{where}: {name} would lie outside of the results; {REMEDY}")
    if foreign := sorted(contents.keys() - listing["files"].keys() - {LIST}):
        raise UserError(f"{where}: {foreign[0]} is not in its list; {REMEDY}")


def check_study(listing: dict[str, Any], study: Config, where: str) -> None:
    """Check that an archive is of a study, and has each of its runs.

    Raises:
        UserError: it is not, or lacks a file of a run.
    """
    # As the list has it: JSON knows no tuples.
    here = json.loads(json.dumps(study))
    field = difference(config.decisive(listing["config"]), config.decisive(here))
    if field is not None:
        raise UserError(
            f"{where} is of a study whose config differs in {field}; undo your change of it, or "
            f"check out {making(listing)}"
        )
    for run in config.runs(study):
        for name in RUN_FILES:
            path = (run_dir(Path(), *run) / name).as_posix()
            if path not in listing["files"]:
                raise UserError(f"{where}: the run {Path(path).parent} has no {name}; {REMEDY}")


def making(listing: dict[str, Any]) -> str:
    """What made the runs of an archive, as part of a remedy."""
    commits = [f"commit {commit[:10]}" for commit in listing["commits"]]
    return " or ".join(commits) or "the version that made it"


def difference(one: Any, other: Any) -> str | None:
    """The first place, such as `analysis.alpha`, at which two configs differ; None if nowhere."""
    if one == other:
        return None
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return ""
    for name in one | other:
        if (name in one) != (name in other):
            return name
        below = difference(one[name], other[name])
        if below is not None:
            return f"{name}.{below}".removesuffix(".")
    return None


def check_tables(folder: Path, contents: dict[str, bytes]) -> None:
    """Check the tables beside an archive, those of a reference, against its list.

    Raises:
        UserError: one was changed.
    """
    listing = read_list(contents.get(LIST, b"null"), f"{folder / NAME}: {LIST}")
    for name, expected in (listing["files"] | listing["made"]).items():
        table = folder / Path(name).name
        if Path(name).parent == Path("tables") and table.exists() and sha256(table) != expected:
            raise UserError(
                f"{table} is not the table of the study in {folder / NAME}; restore both from git"
            )


def check_place(contents: dict[str, bytes], results: Path) -> None:
    """Check that the results hold nothing of another study.

    Raises:
        UserError: they do.
    """
    present = results / LIST
    if present.exists() and present.read_bytes() == contents[LIST]:
        return
    for name in sorted({LIST, *(PurePosixPath(name).parts[0] for name in contents)}):
        if (results / name).exists():
            raise UserError(
                f"{results} has results of another study ({results / name}); move them away, or "
                "work in a fresh clone"
            )


# ── Writing ───────────────────────────────────────────────────────────────────


def place(contents: dict[str, bytes], results: Path) -> None:
    """Write the files that are missing or differ; the list first.

    The workflow trains nothing where the list is, and checks every file against it. So if this is
    interrupted, the files that are still missing are named, and it can be repeated.
    """
    for name, content in ({LIST: contents[LIST]} | contents).items():
        path = results / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_argument(
        "archive", type=Path, help=f"a .tar.xz, what is in it, or a folder that has {NAME}"
    )
    parser.add_argument(
        "--config", type=Path, required=True, nargs="+", help="YAML, later over earlier"
    )
    parser.add_argument("--schema", type=Path, required=True, help="the JSON schema of the config")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
