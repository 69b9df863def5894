"""The folder of a run, and reading and writing of its parameters.

Only the parameters need Flax. It is imported with them, as it brings JAX and so half a second to
every command that asks for a folder.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from flatreg.disk.files import atomic_path
from flatreg.errors import UserError


def run_dir(results: Path, protocol: str, dataset: str, lam: str, seed: int) -> Path:
    """The folder of one run."""
    return results / "runs" / protocol / dataset / f"lambda-{lam}" / f"seed-{seed}"


def name_of(folder: Path) -> tuple[str, str, str, int]:
    """Protocol, data set, lambda and seed of the run with this folder: the inverse of `run_dir`.

    Raises:
        UserError: the folder is not that of a run.
    """
    parts = folder.parts[-5:]
    match parts:
        case ("runs", protocol, dataset, lam, seed) if lam.startswith("lambda-"):
            number = seed.removeprefix("seed-")
            if seed.startswith("seed-") and number.isdecimal():
                return protocol, dataset, lam.removeprefix("lambda-"), int(number)
    raise UserError(
        f"{folder} is not the folder of a run; write runs/PROTOCOL/DATASET/lambda-L/seed-S"
    )


def save_params(path: Path, params: dict[str, Any]) -> None:
    """Write parameters as one array per leaf, named by its path (`Dense_0/kernel`)."""
    from flax.traverse_util import flatten_dict

    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, **{k: np.asarray(v) for k, v in flatten_dict(params, sep="/").items()})


def load_params(path: Path) -> dict[str, Any]:
    """Read parameters that `save_params` wrote, as nested dictionaries.

    Raises:
        UserError: the file is missing or broken.
    """
    from flax.traverse_util import unflatten_dict

    try:
        with path.open("rb") as handle, np.load(handle) as arrays:
            return unflatten_dict(dict(arrays), sep="/")
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; run the training that makes it") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is broken ({error}); delete it and train again") from error
