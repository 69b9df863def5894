"""Checkpoints of a running training, by orbax.

A resumed run ends in the bytes of an unbroken one.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orbax.checkpoint as ocp

from flatreg.errors import UserError
from flatreg.training import Kept, State

# Orbax tells each step of its work at level INFO and warns of options left at their defaults.
logging.getLogger("absl").setLevel(logging.ERROR)


class Checkpoints:
    """The checkpoints of one run, in a folder of their own; the newest two are kept.

    Args:
        folder: of this run alone; made if missing.
        key: of the run; a checkpoint of another is refused.
        every: epochs from one checkpoint to the next.
    """

    def __init__(self, folder: Path, key: str, every: int) -> None:
        """Open the folder."""
        self._folder = folder.resolve()
        self._key = key
        self._every = every
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> Self:
        """Open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the folder."""
        self._manager.close()

    def save(self, state: State) -> None:
        """Write a checkpoint if this epoch is due for one."""
        if state.epoch == 0 or state.epoch % self._every or state.status != "running":
            return
        record = {
            "key": self._key,
            "kept_epoch": state.kept.epoch,
            "rows": state.rows,
            "seconds": state.seconds,
        }
        items = ocp.args.Composite(
            arrays=ocp.args.StandardSave(_arrays(state)), record=ocp.args.JsonSave(record)
        )
        self._manager.save(state.epoch, args=items)

    def restore(self, fresh: State) -> State:
        """The state of the last good checkpoint, or `fresh` if there is none.

        A checkpoint that cannot be read is passed over, with a line that says so.

        Raises:
            UserError: a checkpoint belongs to another run.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return self._read(step, fresh)
            except UserError:
                raise
            except Exception as error:  # orbax raises what its many storage layers raise
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                print(f"checkpoint of epoch {step} is broken, going back ({reason})", flush=True)
                shutil.rmtree(self._folder / str(step), ignore_errors=True)
        self._manager.reload()
        return fresh

    def remove(self) -> None:
        """Delete all checkpoints of this run."""
        shutil.rmtree(self._folder)

    def _read(self, step: int, fresh: State) -> State:
        record = self._manager.restore(
            step, args=ocp.args.Composite(record=ocp.args.JsonRestore())
        )["record"]
        if record["key"] != self._key:
            raise UserError(
                f"checkpoint {self._folder / str(step)} is of run {record['key']}, this is run "
                f"{self._key}; delete the folder or go back to the config that made it"
            )
        arrays = self._manager.restore(
            step,
            args=ocp.args.Composite(arrays=ocp.args.StandardRestore(_arrays(fresh))),
        )["arrays"]
        self._manager.reload()
        return fresh._replace(
            params=arrays["params"],
            optimizer=arrays["optimizer"],
            kept=Kept(arrays["kept"], record["kept_epoch"]),
            rows=record["rows"],
            seconds=record["seconds"],
        )


def _arrays(state: State) -> dict[str, Any]:
    return {"params": state.params, "optimizer": state.optimizer, "kept": state.kept.params}
