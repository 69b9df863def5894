"""Compare what was made from an archive with what was published: the same bytes, or a name."""

from __future__ import annotations

from pathlib import Path

from flatreg import command
from flatreg.config import Config
from flatreg.disk.files import read_json, sha256
from flatreg.errors import UserError
from flatreg.publish.archive import LIST, made_files
from flatreg.publish.unpack import check_study, making, read_list

# How many names a message has.
NAMED = 3


def main() -> None:
    """Compare the files of a study that was unpacked from an archive."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    study = read_json(parser.parse_args().config)
    count = confirm(study)
    print(f"{count} tables, figures and pages, and the paper, are those that were published")


def confirm(study: Config) -> int:
    """Compare what was made with the list of the archive; return the number of files.

    Raises:
        UserError: some differ, or are missing.
    """
    path = Path(study["paths"]["results"]) / LIST
    listing = read_list(path.read_bytes(), str(path))
    made = made_files(study)
    digests = {name: sha256(made[name]) for name in made if made[name].exists()}
    names = listing["made"] | digests
    if differing := [n for n in names if listing["made"].get(n) != digests.get(n)]:
        more = f" and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
        raise UserError(
            f"{', '.join(differing[:NAMED])}{more}: not as published; for the same bytes, check "
            f"out {making(listing)}, with the packages and the LaTeX of that time"
        )
    return len(made) - 1


def check_kept(study: Config) -> None:
    """Check that the results still have what was unpacked into them, and that it is of this study.

    Raises:
        UserError: a file is missing or was changed, or the config was.
    """
    results = Path(study["paths"]["results"])
    listing = read_list((results / LIST).read_bytes(), str(results / LIST))
    check_study(listing, study, f"the archive in {results}")
    for name, expected in listing["files"].items():
        path = results / name
        if not path.exists() or sha256(path) != expected:
            state = "was changed" if path.exists() else "is missing"
            raise UserError(
                f"{path} {state} since it was unpacked; put it back: make paper FROM=ARCHIVE"
            )


if __name__ == "__main__":
    command.run(main)
