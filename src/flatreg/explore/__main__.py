"""Write the Explore page of a study, and print where it is.

Without a study in results/ it shows results/reference, whose numbers the project prints.
"""

from __future__ import annotations

from pathlib import Path

from flatreg import command
from flatreg.code import LIBRARY
from flatreg.disk.files import read_json, write_checked_text
from flatreg.errors import UserError
from flatreg.explore.page import Files, page
from flatreg.publish.answers import EQUAL_LOSS

RESULTS, REFERENCE = Path("results"), Path("results/reference")


def main() -> None:
    """Write the page into the folder that is asked for."""
    parser = command.Parser(__spec__, __doc__)
    where = f"folder of the results; {RESULTS}, or else {REFERENCE}, where left out"
    parser.add_argument("results", type=Path, nargs="?", help=where)
    parser.add_argument("--out", type=Path, default=Path("explore.html"), help="the HTML file")
    arguments = parser.parse_args()
    write_checked_text(arguments.out, page(files_of(arguments.results or find_results())))
    print(arguments.out)


def find_results() -> Path:
    """The folder of the study in results/, or else of the reference.

    Raises:
        UserError: there is neither.
    """
    for folder in (RESULTS, REFERENCE):
        if (folder / "config.json").exists():
            return folder
    raise UserError(f"there is no study in {RESULTS}; name its folder, or make it: make paper")


def files_of(folder: Path) -> Files:
    """The files of a study's results, or of a reference, whose tables lie beside its config."""
    tables = folder / "tables" if (folder / "tables").is_dir() else folder
    optional = {name: tables / f"{name}.csv" for name in ("claims", "claim_runs", EQUAL_LOSS)}
    return Files(
        config=folder / "config.json",
        surfaces=sorted((folder / "surfaces").glob("*.npz")),
        **{name: path if path.exists() else None for name, path in optional.items()},
        questions=find_questions(read_json(folder / "config.json")["questions"]),
        **{name: tables / f"{name}.csv" for name in ("metrics", "epochs", "estimates", "flatness")},
    )


def find_questions(named: str | None) -> Path | None:
    """The file of the questions that a config names, here or beside the library's project."""
    places = [] if named is None else [Path(named), LIBRARY.parents[1] / named]
    return next((path for path in places if path.exists()), None)


if __name__ == "__main__":
    command.run(main)
