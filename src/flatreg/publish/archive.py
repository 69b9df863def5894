"""Write a finished study as an archive, from which its paper is made anew without training.

The archive has what cannot be made from other files of it: the config, the small files of each run,
the manifests of the data, and what was measured with the runs' parameters, which it leaves out as
it does the data. Its list, archive.json, has the checksum of each of these files, and of all that
was made of them: tables, figures, pages and the paper. The same study gives the same bytes.
"""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path

from flatreg import command, config
from flatreg.config import Config
from flatreg.disk import intact
from flatreg.disk.files import atomic_path, checksum_path, json_text, read_json, sealed, sha256
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.tables.registry import MEASURED

# The list of an archive, in the archive and in the results that it was unpacked into.
LIST = "archive.json"
# Raised when other files, or other fields of the list, are needed than before.
LAYOUT = 1
RUN_FILES = (
    *("metrics.json", "epochs.csv", "timing.json", "facts.json"),
    *("curvature.json", "flatness.json"),
)
# Stages that are not made anew; the archive has their times.
STAGES = (
    *("data", "features", "selection", "runs", "blocks"),
    *("surfaces", "examples", "sample_sizes"),
)
# Patterns of the other files, of which a study need not have all.
KEPT = (
    *("data/*.json", "selection/**/*.json"),
    *("surfaces/*.npz", "examples/*.npz", "sample_sizes/*.csv"),
    *(f"tables/{name}.csv" for name in MEASURED),
    *(f"benchmarks/{stage}/**/*.tsv" for stage in STAGES),
    *(f"benchmarks/tables/{name}.tsv" for name in MEASURED),
)
# What is made of them. The report is left out: it has the times of its making.
MADE = (
    *("tables/*.csv", "figures/*.pdf", "figures/*.svg", "notebooks/*.ipynb", "notebooks/*.html"),
)
PAGES = ("explore.html", "ro-crate-metadata.json")
PAPER = "the paper"


def main() -> None:
    """Write the archive, and print its size."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_out("the archive (.tar.xz)")
    arguments = parser.parse_args()
    write(read_json(arguments.config), arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


def write(study: Config, out: Path) -> None:
    """Write the archive of a study.

    Raises:
        UserError: the study is not finished, or a file of it was changed by hand.
    """
    paths = study["paths"]
    results = Path(paths["results"])
    for path in intact.damaged(results, Path(paths["generated"]), Path(paths["pdf"])):
        raise UserError(f"{path} was changed after it was made; finish the study again first")
    kept, made = kept_files(study), made_files(study)
    for path in (*kept.values(), *made.values()):
        if not path.exists():
            raise UserError(f"{path} is missing; finish the study first")
    listing = sealed(
        {
            "layout": LAYOUT,
            "commits": commits(study),
            "files": {name: sha256(path) for name, path in kept.items()},
            "made": {name: sha256(path) for name, path in made.items()},
            "config": study,
        }
    )
    contents = {name: path.read_bytes() for name, path in kept.items()}
    with atomic_path(out) as temporary:
        write_tar(temporary, {LIST: json_text(listing).encode()} | contents)


def kept_files(study: Config) -> dict[str, Path]:
    """The files of the archive by name, their path below the results, in the order of names."""
    results = Path(study["paths"]["results"])
    of_runs = [run_dir(results, *run) / name for run in config.runs(study) for name in RUN_FILES]
    others = [path for pattern in KEPT for path in results.glob(pattern)]
    checksums = [path for path in map(checksum_path, others) if path.exists()]
    return _by_name(results, [*of_runs, *others, *checksums])


def made_files(study: Config) -> dict[str, Path]:
    """The files that are made of those of the archive, likewise; the paper is called `PAPER`."""
    results = Path(study["paths"]["results"])
    kept = {results / "tables" / f"{name}.csv" for name in MEASURED}
    matching = [path for pattern in MADE for path in results.glob(pattern) if path not in kept]
    once = [results / name for name in PAGES]
    return _by_name(results, [*matching, *once]) | {PAPER: Path(study["paths"]["pdf"])}


def _by_name(results: Path, paths: list[Path]) -> dict[str, Path]:
    return dict(sorted((path.relative_to(results).as_posix(), path) for path in paths))


def commits(study: Config) -> dict[str, int]:
    """The number of runs of each commit."""
    results = Path(study["paths"]["results"])
    facts = (read_json(run_dir(results, *run) / "facts.json") for run in config.runs(study))
    return dict(sorted(Counter(run["commit"] for run in facts if run["commit"]).items()))


def write_tar(path: Path, contents: dict[str, bytes]) -> None:
    """Write files in their order; their times, owners and rights are always the same."""
    with tarfile.open(path, "w:xz", format=tarfile.PAX_FORMAT) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


if __name__ == "__main__":
    command.run(main)
