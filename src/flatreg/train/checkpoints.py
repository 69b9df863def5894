"""Checkpoints of a training, by orbax, each with a checksum of its whole content.

A resumed run writes the same bytes as an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import jax
import numpy as np

from flatreg.disk.statuses import RUNNING
from flatreg.errors import UserError, mendable
from flatreg.train.loop import Kept, State

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

# Orbax logs each step of its work, its default options, and tracebacks of its threads, whose errors
# it also raises. It is imported where it is used: a short training has nothing to save or restore.
logging.getLogger("absl").setLevel(logging.CRITICAL)


class Interval(NamedTuple):
    """How often a checkpoint is due: what takes less than to save it is repeated instead.

    Attributes:
        epochs: from checkpoint to checkpoint.
        seconds: that must have passed since the last one, or since the training began.
    """

    epochs: int
    seconds: float = 0.0


class Checkpoints:
    """The newest two checkpoints of one training, in a folder of their own.

    Args:
        folder: of this training alone; created if missing.
        key: of the training; a checkpoint with another key is deleted.
        every: when checkpoints are due.
    """

    def __init__(self, folder: Path, key: str, every: Interval) -> None:
        """Open the folder."""
        self._folder = folder.resolve()
        self._key = key
        self._every = every
        self._last = time.monotonic()
        self._folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        """Return the open folder."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the folder."""
        self._close()

    def _close(self) -> None:
        if "_manager" in vars(self):
            self._manager.close()

    def save_if_due(self, state: State) -> None:
        """Write a checkpoint if one is due after this epoch."""
        passed = time.monotonic() - self._last
        if state.epoch and state.epoch % self._every.epochs == 0 and passed >= self._every.seconds:
            self.save(state)
            self._last = time.monotonic()

    def save(self, state: State) -> None:
        """Write a checkpoint of an unfinished training, if this epoch has none.

        Raises:
            UserError: the disk is too full, or the checkpoint cannot be written.
        """
        import orbax.checkpoint as ocp

        if state.status != RUNNING or state.epoch in self._manager.all_steps():
            return
        arrays, record = _arrays(state), _record(state) | {"key": self._key}
        record["sha256"] = _sha256(arrays, record)
        items = ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays), record=ocp.args.JsonSave(record)
        )
        self._check_room(arrays)
        try:
            self._manager.save(state.epoch, args=items)
        except Exception as error:
            reason = mendable(error) or f"{_first_line(error)}; free some space and run again"
            raise UserError(f"cannot write a checkpoint to {self._folder}: {reason}") from error

    def restore(self, fresh: State) -> State:
        """The state of the newest valid checkpoint, or `fresh` if there is none.

        A checkpoint that cannot be read, was changed, or is of another training is deleted, with
        a message.
        """
        if not any(self._folder.iterdir()):
            return fresh
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return self._read(step, fresh)
            except Exception as error:  # orbax raises what its many storage layers raise
                self._pass_over(step, error)
        self._manager.reload()
        return fresh

    @cached_property
    def _manager(self) -> ocp.CheckpointManager:
        """Orbax's manager; it refuses a folder with a checkpoint that it cannot read."""
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        while True:
            try:
                return ocp.CheckpointManager(self._folder, options=options)
            except Exception as error:
                steps = [int(p.name) for p in self._folder.glob("*") if p.name.isdigit()]
                if not steps:
                    raise
                self._pass_over(max(steps), error)

    def _check_room(self, arrays: dict[str, Any]) -> None:
        """Check the free space first: on a full disk orbax's threads print tracebacks."""
        needed = 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(arrays)) + 100_000
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise UserError(
                f"cannot write a checkpoint to {self._folder}: it takes up to {needed} bytes and "
                f"{free} are left; free some space and run again"
            )

    def _pass_over(self, step: int, error: Exception) -> None:
        """Delete a broken checkpoint, unless the error is one that the user can correct."""
        if mendable(error):
            raise error
        print(
            f"checkpoint of epoch {step} is broken, going back ({_first_line(error)})", flush=True
        )
        shutil.rmtree(self._folder / str(step), ignore_errors=True)

    def remove(self) -> None:
        """Close the folder and delete it, with all checkpoints of this training."""
        self._close()
        shutil.rmtree(self._folder)

    def _read(self, step: int, fresh: State) -> State:
        import orbax.checkpoint as ocp

        record = self._manager.restore(
            step, args=ocp.args.Composite(record=ocp.args.JsonRestore())
        )["record"]
        if record["key"] != self._key:
            raise ValueError(f"it is of {record['key']}, this is {self._key}")
        arrays = self._manager.restore(
            step,
            args=ocp.args.Composite(arrays=ocp.args.StandardRestore(_arrays(fresh))),
        )["arrays"]
        if record.pop("sha256") != _sha256(arrays, record):
            raise ValueError("its checksum differs")
        self._manager.reload()
        return fresh._replace(
            params=arrays["params"],
            optimizer=arrays["optimizer"],
            kept=Kept(arrays["kept"], record["kept_epoch"]),
            rows=record["rows"],
            seconds=record["seconds"],
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _arrays(state: State) -> dict[str, Any]:
    return {"params": state.params, "optimizer": state.optimizer, "kept": state.kept.params}


def _record(state: State) -> dict[str, Any]:
    return {"kept_epoch": state.kept.epoch, "rows": state.rows, "seconds": state.seconds}


def _sha256(arrays: dict[str, Any], record: dict[str, Any]) -> str:
    """SHA-256 of a checkpoint's record and arrays, with the path, type and shape of each array."""
    total = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(arrays):
        array = np.asarray(leaf)
        total.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
