"""Views of single examples of a data set, for the notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import sparse

from flatreg import config, models, tables
from flatreg.config import Config
from flatreg.data.dataset import load_dataset
from flatreg.data.prepared import read_arrays
from flatreg.data.splits import Split
from flatreg.disk.files import read_json
from flatreg.disk.runs import run_dir
from flatreg.measure.solution import load_solution

WORDS_SHOWN = 12
BLOCK = 1000


def data_path(study: Config, source: str, reading: str | None) -> Path:
    """The file that trainings on a source read; of a text, the features of a reading."""
    results = Path(study["paths"]["results"])
    if reading is None:
        return results / "data" / f"{source}.npz"
    return results / "features" / f"{source}-{reading}.npz"


def worst_examples(study: Config, metrics: pd.DataFrame, count: int) -> pd.DataFrame:
    """The test examples with the largest loss in the first run that did not diverge.

    Args:
        study: completed config.
        metrics: rows of metrics.csv of one data set.
        count: number of examples.

    Returns:
        Columns row (of the test split), loss (nats), label, predicted; largest loss first. Empty
        if every run diverged.
    """
    finished = metrics[metrics["status"] != tables.DIVERGED]
    if finished.empty:
        return pd.DataFrame(columns=["row", "loss", "label", "predicted"])
    first = finished.iloc[0]
    run = config.Run(first["protocol"], first["dataset"], first["lambda"], int(first["seed"]))
    settings = config.settings(study, run)
    dataset = load_dataset(data_path(study, settings.source, settings.reading))
    *_, data, model, params = load_solution(
        study, run_dir(Path(study["paths"]["results"]), *run), dataset
    )
    losses, predicted = judge(model, params, data.test)
    rows = np.argsort(-losses, kind="stable")[:count]
    names = np.array(class_names(study, settings.source))
    return pd.DataFrame(
        {
            "row": rows,
            "loss": losses[rows],
            "label": names[data.test.y[rows]],
            "predicted": names[predicted[rows]],
        }
    )


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


def class_names(study: Config, source: str) -> list[str]:
    """The classes of a source, in the order of its labels."""
    manifest = read_json(Path(study["paths"]["results"]) / "data" / f"{source}.json")
    return list(manifest["splits"]["train"]["class_counts"])


def show_examples(study: Config, dataset: str, rows: list[int]) -> Any:
    """Show test examples as pictures, as the words with the largest weights, or as features."""
    entry = next(
        p["datasets"][dataset] for p in study["protocols"].values() if dataset in p["datasets"]
    )
    path = data_path(study, entry["source"], entry["reading"])
    data = load_dataset(path)
    if sparse.issparse(data.x_test):
        words = read_arrays(path)["words"]
        return pd.Series(
            {row: ", ".join(_heaviest(data.x_test[[row]], words)) for row in rows}, name="words"
        )
    if data.maximum is None:
        return pd.DataFrame(data.x_test[rows], index=rows)
    return _pictures(data.x_test[rows] / data.maximum)


def _heaviest(features: sparse.csr_array, words: np.ndarray) -> list[str]:
    order = np.argsort(-features.data, kind="stable")[:WORDS_SHOWN]
    return [str(word) for word in words[features.indices[order]]]


def _pictures(pictures: np.ndarray) -> plt.Figure:
    figure, panels = plt.subplots(
        1, max(1, len(pictures)), figsize=(len(pictures) * 0.7 + 0.1, 0.8), squeeze=False
    )
    for panel, picture in zip(panels.flat, pictures, strict=False):
        panel.imshow(picture, cmap="gray", vmin=0, vmax=1)
    for panel in panels.flat:
        panel.set_axis_off()
    return figure
