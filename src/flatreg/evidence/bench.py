"""Times that `make bench` measured, as samples for claims about time.

In the bench all ways to compute the penalty take turns on a quiet machine, so a round gives one
ratio per way. Trainings of the study share cores, and their times decide nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flatreg.config import Config
from flatreg.disk.files import read_json
from flatreg.errors import UserError, nearest

# Contents of the file that the bench writes.
Cost = dict[str, Any]

AGAIN = "type: make bench"


def read(path: Path) -> Cost:
    """The file of `make bench`.

    Raises:
        UserError: the file is missing, or keeps no rounds.
    """
    if not path.exists():
        raise UserError(f"{path} is missing, and a claim is about time; {AGAIN}")
    cost = read_json(path)
    try:
        rounds = [network["rounds"] for network in cost["networks"].values()]
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path} does not have the ratios of each round; {AGAIN}") from error
    if not all(rounds):
        raise UserError(f"{path} has a network that was not timed; {AGAIN}")
    return cost


def rounds_of(cost: Cost, dataset: str, way: str, interval: int) -> np.ndarray:
    """Time of a mean training step over that of a plain step, in each round [rounds].

    Args:
        cost: of `read`.
        dataset: whose network was timed.
        way: to compute the penalty, one of `cost["about"]`.
        interval: the penalty is in every `interval`-th step, and the others are plain.

    Raises:
        UserError: the network or the way was not timed.
    """
    ratios = np.array(_named(_network(cost, dataset)["rounds"], way, f"way on {dataset}"), float)
    return (interval - 1 + ratios) / interval


def check_network(cost: Cost, study: Config, protocol: str, dataset: str) -> None:
    """Check that the bench timed the network, batch and probes of a cell.

    Raises:
        UserError: the network was not timed, or is another one.
    """
    shape = _network(cost, dataset)["shape"]
    for name, value in _shape_of(study, study["protocols"][protocol]["datasets"][dataset]).items():
        if shape[name] != value:
            raise UserError(
                f"the bench timed {dataset} with {name} {shape[name]}, and {protocol} has {value};"
                " correct NETWORKS in bench/cost.py and type: make bench, or leave the claim out"
            )


def _shape_of(study: Config, settings: Config) -> dict[str, Any]:
    """What a config says of a network's shape, by the names of the bench."""
    model = settings["model"]
    shape = {
        "hidden": model.get("hidden", []),
        "batch": settings["batch"],
        "probes": settings["penalty"]["probes"],
    }
    if settings["reading"] is not None:
        shape["inputs"] = study["data"]["text"]["vocabulary"]
    if "outputs" in model:
        shape["outputs"] = model["outputs"]
    return shape


def _network(cost: Cost, dataset: str) -> dict[str, Any]:
    return _named(cost["networks"], dataset, "network")


def _named(values: dict[str, Any], name: str, what: str) -> Any:
    if name not in values:
        raise UserError(f"the bench has no {what} {name!r}{nearest(name, values)}")
    return values[name]
