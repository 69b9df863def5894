"""Rescale the layers of a run.

Which measures of flatness depend on the parameters, and which only on the function? Multiply the
weights and biases of the first layer of a trained perceptron by a factor, and divide the weights of
the second layer by it. ReLU is positively homogeneous, so the function does not change (Dinh et al.
2017, section 3). A measure that changes depends on the parameters.

References:
    L. Dinh, R. Pascanu, S. Bengio, Y. Bengio. Sharp minima can generalize for deep nets. 2017.
    arXiv:1703.04933.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax
import optax
import pandas as pd

from flatreg import command, machine, models, tables
from flatreg.config import Config, MeasureSettings, measure_settings
from flatreg.data.dataset import Dataset, load_dataset
from flatreg.disk.files import read_json
from flatreg.errors import UserError
from flatreg.measure import sharpness
from flatreg.measure.lanes import Lane
from flatreg.measure.solution import (
    has_diverged,
    load_solution,
    measured_examples,
    probe_key,
    read_record,
    run_columns,
)
from flatreg.measure.spectrum import measure_curvature
from flatreg.tables.evidence import REPARAMETRIZATION_TABLE

# Powers of two are exact in floating point, so that no change is rounding.
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
CURVATURE = ("tr_h", "tr_h2", "lambda_max")

Params = dict[str, Any]


def main() -> None:
    """Write reparametrization.csv."""
    arguments = _parse()
    machine.set_up(arguments)
    study = read_json(arguments.config)
    table = rescale_run(study, arguments.run, load_dataset(arguments.data))
    tables.write(arguments.out, table, REPARAMETRIZATION_TABLE)


def rescale_run(study: Config, folder: Path, dataset: Dataset) -> pd.DataFrame:
    """The REPARAMETRIZATION_TABLE of one run.

    Args:
        study: the completed config.
        folder: of the run, of a perceptron.
        dataset: of the run.

    Raises:
        UserError: the run diverged, its model has no hidden layer, or its files were changed.
    """
    record = read_record(folder)
    solution = None if has_diverged(record) else load_solution(study, folder, dataset)
    if solution is None or not solution.settings.model.get("hidden"):
        raise UserError(
            f"{folder}: no layers to rescale: the run diverged or has no hidden layer; name a seed "
            "and protocol with a trained mlp in the config's `surface`"
        )
    settings = measure_settings(study)
    x, y = measured_examples(solution.data, settings)["train"]
    key = probe_key(settings.subset_seed, "train", solution.run.seed)
    measures = {
        factor: of_lane(
            solution.model, Lane(rescaled(solution.params, factor), x, y, key), settings
        )
        for factor in FACTORS
    }
    named = run_columns(record)
    rows = [
        named | {"factor": factor, "measure": name, "value": value, "ratio": _ratio(value, own)}
        for factor, values in measures.items()
        for (name, value), own in zip(values.items(), measures[1.0].values(), strict=True)
    ]
    return pd.DataFrame(rows, columns=list(REPARAMETRIZATION_TABLE.columns))


def _ratio(value: float, own: float) -> float:
    return value / own if own else float("nan")


def rescaled(params: Params, factor: float) -> Params:
    """Parameters of the same function: the first layer times a factor, the second over it."""
    first, second = params["Dense_0"], params["Dense_1"]
    return params | {
        "Dense_0": jax.tree.map(lambda leaf: leaf * factor, first),
        "Dense_1": second | {"kernel": second["kernel"] / factor},
    }


def of_lane(model: Any, lane: Lane, settings: MeasureSettings) -> dict[str, float]:
    """Loss, curvature, norm and all other measures by name, as `measure_curvature` takes them."""
    (curvature,) = measure_curvature(model, [lane], settings)
    (measures,) = sharpness.of_models(model, [lane], settings)
    return {
        "loss": float(models.loss_without_dropout(model, lane.params, lane.x, lane.y)),
        **{name: curvature[name] for name in CURVATURE},
        "parameter_norm": float(optax.tree.norm(lane.params)),
        **measures,
    }


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "run", "data")
    machine.add_flags(parser)
    parser.add_out("reparametrization.csv")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
