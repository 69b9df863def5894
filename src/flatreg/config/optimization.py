"""Whether optimizers and schedules take their arguments, tried before anything is planned.

Optax alone can tell, and to import it takes longer than to plan a small study. So it is imported
only for arguments other than those of the study that ran last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flatreg.config.records import CellSettings
from flatreg.config.sizes import sizes_of
from flatreg.config.study import Config, cell_settings
from flatreg.disk.files import read_json
from flatreg.errors import UserError

# The fields of a training that its optimizer and its schedule depend on.
_FIELDS = (
    *("optimizer", "optimizer_arguments", "clip_norm", "weight_decay", "learning_rate"),
    *("search", "schedule", "epochs", "batch"),
)
# Of a training on data whose size is not known.
_SOME_STEPS = 100
_PLATFORMS = "JAX_PLATFORMS"


def check_optimizers(config: Config, before: Path | None = None) -> None:
    """Try every optimizer and schedule of the study.

    Args:
        config: the completed config.
        before: a completed config whose optimizers were tried before it was written; those that
            it has too are not tried again. There need not be such a file.

    Raises:
        UserError: optax refuses the arguments, or makes no number of them; the message names the
            data set.
    """
    tried = _tried(before)
    new = [place for part, place in _parts(config).items() if part not in tried]
    if not new:
        return
    with _importing_jax():
        from flatreg import optimizers
    stepped = set()
    for protocol, dataset in new:
        cell = _with_rates(cell_settings(config, protocol, dataset))
        try:
            optimizers.check_schedule(cell, _steps_per_epoch(config, protocol, dataset))
            if (kind := _kind(cell)) not in stepped:
                optimizers.check_optimizer(cell)
                stepped.add(kind)
        except UserError as error:
            where = f"config: protocols.{protocol}.datasets.{dataset}"
            raise UserError(f"{where}.{error}") from error


def _tried(before: Path | None) -> set[str]:
    """The parts of an earlier config; none if it is missing, damaged or of another version."""
    if before is not None and before.exists():
        with suppress(UserError, LookupError, TypeError, AttributeError):
            return set(_parts(read_json(before)))
    return set()


def _parts(config: Config) -> dict[str, tuple[str, str]]:
    """What each optimizer and schedule depends on, with the first data set that has them."""
    parts: dict[str, tuple[str, str]] = {}
    for protocol, content in config["protocols"].items():
        for dataset, training in content["datasets"].items():
            part = {field: training[field] for field in _FIELDS}
            part["steps"] = _steps_per_epoch(config, protocol, dataset)
            parts.setdefault(json.dumps(part, sort_keys=True), (protocol, dataset))
    return parts


def _steps_per_epoch(config: Config, protocol: str, dataset: str) -> int:
    training = config["protocols"][protocol]["datasets"][dataset]
    sizes = sizes_of(config, training)
    return sizes.train // training["batch"] if sizes else _SOME_STEPS


def _with_rates(cell: CellSettings) -> CellSettings:
    """The settings with rates: of a search, its first ones."""
    if cell.search is None:
        return cell
    rate, decay = cell.search.learning_rate[0], cell.search.weight_decay[0]
    return cell.with_rates(learning_rate=rate, weight_decay=decay)


def _kind(cell: CellSettings) -> str:
    """What the steps of an optimizer depend on, apart from its rates."""
    arguments = dict(cell.optimizer_arguments)
    return json.dumps([cell.optimizer, arguments, cell.clip_norm, cell.weight_decay > 0])


@contextmanager
def _importing_jax() -> Iterator[None]:
    """Import JAX, if it is not imported yet, for the CPU alone: GPUs are for jobs."""
    before = os.environ.get(_PLATFORMS)
    os.environ[_PLATFORMS] = "cpu"
    try:
        yield
    finally:
        del os.environ[_PLATFORMS]
        if before is not None:
            os.environ[_PLATFORMS] = before
