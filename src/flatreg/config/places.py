"""Where a study may write: beside the project's own files, never over them."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path, PurePath

from flatreg.code import LIBRARY
from flatreg.errors import UserError

# The project's own folders and files; nothing is written into or over them.
OWN = (
    *("Snakefile", "Makefile", "config.yaml", "claims.yaml", "pyproject.toml", "README.md"),
    *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", ".gitignore", ".git"),
    ".snakemake-workflow-catalog.yml",
    *(".ci", ".snakemake", ".venv", "bench", "config", "docs", "envs", "profiles", "src", "tests"),
    *("workflow", "results/reference"),
    # Beside these, the paper and its generated parts have their place.
    *("paper/main.tex", "paper/references.bib", "paper/original.json"),
)
# Of these, what a study's results may lie beside.
BESIDE = ("results/reference",)
# Folders that nothing but the study's results is in: data, runs, tables and so on.
RESULTS_HAVE = (
    *("benchmarks", "checkpoints", "compiled", "data", "examples", "features", "figures", "logs"),
    *("notebooks", "runs", "sample_sizes", "selection", "surfaces", "tables"),
)
# Of a file's name on common disks, less what is added to it while it is written.
_LONGEST_NAME = 200


def check_places(paths: dict[str, str], home: Path | None = None) -> None:
    """Check the `paths` of a config.

    Args:
        paths: `results`, `generated` and `pdf`, relative to the working directory.
        home: the project's folder; where the library is installed without one, its own files are
            not there to be harmed.

    Raises:
        UserError: a path is not one, lies in or above the project's files, or two of them clash.
    """
    for name, path in paths.items():
        _check_written(name, path)
    places = {name: _place(Path(path)) for name, path in paths.items()}
    own = {name: _place(home / name) for name in OWN} if (home := home or _home()) else {}
    for name, place in places.items():
        _check_apart(name, paths[name], place, own)
    _check_clashes(paths, places)


def _home() -> Path | None:
    home = LIBRARY.parents[1]
    return home if (home / "Snakefile").exists() else None


def _place(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _check_written(name: str, path: str) -> None:
    where = f"config: paths.{name}: {path!r}"
    plain = os.path.normpath(path)
    if plain != path:
        raise UserError(f"{where} has parts that change nothing; write {plain!r}")
    if path.startswith("-"):
        raise UserError(f"{where} would be taken for a flag; begin it with a letter")
    if any(len(part.encode()) > _LONGEST_NAME for part in PurePath(path).parts):
        raise UserError(f"config: paths.{name}: a name in it is too long for a disk; shorten it")
    if name == "pdf" and not path.endswith(".pdf"):
        raise UserError(f"{where} does not end in .pdf; add that")


def _check_apart(name: str, path: str, place: Path, own: dict[str, Path]) -> None:
    """Check that a place is neither in nor above the project's own files."""
    for other, theirs in own.items():
        # The folder `results` holds the reference, beside which a study has its place.
        above = theirs.is_relative_to(place) and not (other in BESIDE and place == theirs.parent)
        if place.is_relative_to(theirs) or above:
            raise UserError(
                f"config: paths.{name}: {path!r} would write into the project's own files"
                f" ({other}); name a folder apart from them"
            )


def _check_clashes(paths: dict[str, str], places: dict[str, Path]) -> None:
    for one, other in combinations(places, 2):
        if places[one] == places[other]:
            raise UserError(
                f"config: paths.{one} and paths.{other} are both {paths[one]!r}; give each its own"
            )
    results = places["results"]
    for name in ("generated", "pdf"):
        if results.is_relative_to(places[name]):
            raise UserError(
                f"config: paths.results: {paths['results']!r} lies in paths.{name}; put it"
                " elsewhere"
            )
        if any(places[name].is_relative_to(results / part) for part in RESULTS_HAVE):
            raise UserError(
                f"config: paths.{name}: {paths[name]!r} is where the results have files of their"
                " own; name another folder"
            )
    if places["generated"].is_relative_to(places["pdf"]):
        raise UserError(
            f"config: paths.generated: {paths['generated']!r} lies in paths.pdf; put it elsewhere"
        )
