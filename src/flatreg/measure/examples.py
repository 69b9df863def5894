"""The test examples of a data set with the largest loss, for its notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from scipy import sparse

from flatreg import command, machine, models
from flatreg.config import Config
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.data.prepared import read_arrays, write_arrays
from flatreg.data.splits import Split
from flatreg.disk.files import read_json
from flatreg.measure.solution import has_diverged, load_solution, read_record

COUNT = 10
WORDS_SHOWN = 12
BLOCK = 1000


def main() -> None:
    """Write the examples of one data set."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "data")
    parser.add_runs()
    machine.add_flags(parser)
    parser.add_out("the examples (.npz)")
    arguments = parser.parse_args()
    machine.set_up(arguments)
    study, dataset = read_json(arguments.config), load_dataset(arguments.data)
    folders = [path.parent for path in arguments.runs]
    first = next((f for f in folders if not has_diverged(read_record(f))), None)
    worst = {"row": np.array([], int)} if first is None else worst_of(study, first, dataset)
    write_arrays(arguments.out, worst | shown(dataset, arguments.data, worst["row"]))


def worst_of(study: Config, folder: Path, dataset: Dataset) -> dict[str, np.ndarray]:
    """The test examples with the largest loss in a run, largest first.

    Args:
        study: the completed config.
        folder: of a run that did not diverge.
        dataset: of the run.

    Returns:
        row (of the test split), loss (nats), and the numbers of the classes label and predicted.
    """
    *_, data, model, params = load_solution(study, folder, dataset)
    losses, predicted = judge(model, params, data.test)
    rows = np.argsort(-losses, kind="stable")[:COUNT]
    return {
        "row": rows,
        "loss": losses[rows],
        "label": data.test.y[rows],
        "predicted": predicted[rows],
    }


def judge(model: nn.Module, params: Any, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The loss (nats) and the predicted class of each example of a split: [n], [n]."""

    # One program: on its own, each operation of a model would be compiled.
    @jax.jit
    def of_block(params: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = model.apply({"params": params}, x, train=False)
        return models.task_losses(logits, y), models.predict(logits)

    every = np.arange(len(split.y))
    # In blocks, as all texts at once, stored densely, would take gigabytes.
    blocks = np.array_split(every, -(-len(every) // BLOCK))
    judged = [of_block(params, split.inputs(rows), split.y[rows]) for rows in blocks]
    losses, predicted = zip(*judged, strict=True)
    return np.concatenate(losses), np.concatenate(predicted)


def shown(dataset: Dataset, path: Path, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What a page shows of test examples: the heaviest `words`, `pictures`, or else `features`.

    Args:
        dataset: of `load_dataset`.
        path: its file, which has the words.
        rows: of the test split.
    """
    if sparse.issparse(dataset.x_test):
        words = read_arrays(path)["words"]
        heaviest = [", ".join(_heaviest(dataset.x_test[[row]], words)) for row in rows]
        return {"words": np.array(heaviest, dtype=str)}
    if dataset.maximum is None:
        return {"features": dataset.x_test[rows]}
    return {"pictures": dataset.x_test[rows], "maximum": np.array(dataset.maximum)}


def _heaviest(features: sparse.csr_array, words: np.ndarray) -> list[str]:
    order = np.argsort(-features.data, kind="stable")[:WORDS_SHOWN]
    return [str(word) for word in words[features.indices[order]]]


if __name__ == "__main__":
    command.run(main)
