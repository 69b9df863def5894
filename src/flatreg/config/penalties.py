"""Which penalties fit which models and batches, and which protocols can be compared."""

from __future__ import annotations

from flatreg.config.registries import ESTIMATORS, MODELS, TARGETS
from flatreg.config.sizes import sizes_of
from flatreg.config.study import LARGEST_NUMBER, Config
from flatreg.errors import UserError

# What an estimator needs, for people.
_NEEDS = {
    "dense_first": "a dense first layer",
    "dense_only": "one dense layer, as of a logistic regression",
    "dense_chain": "dense layers with ReLU and no others",
}


def check_targets(config: Config, name: str) -> None:
    """A protocol is compared with the one it extends, lambda by lambda: both penalize the same.

    Raises:
        UserError: they do not.
    """
    protocol = config["protocols"][name]
    base = config["protocols"][protocol["extends"]]["datasets"]
    for dataset in protocol["datasets"].keys() & base.keys():
        here, there = (
            cell[dataset]["penalty"]["estimator"] for cell in (protocol["datasets"], base)
        )
        if TARGETS[here] != TARGETS[there]:
            raise UserError(
                f"config: protocols.{name}.datasets.{dataset}.penalty.estimator: {here} is of"
                f" {TARGETS[here]}, but {name} is compared with {protocol['extends']}, whose"
                f" {there} is of {TARGETS[there]}; choose one of {TARGETS[there]}, or extend none"
            )


def check_penalty(config: Config, training: Config, where: str) -> None:
    """Check the weights of a training's penalty, and that the estimator fits model and batch.

    Args:
        config: the completed config.
        training: its entry of the data set.
        where: the place of the entry.

    Raises:
        UserError: it does not.
    """
    if not any(float(lam) > 0 for lam in training["lambdas"]):
        return
    _check_weights(training, f"{where}.lambdas")
    name, model = training["penalty"]["estimator"], training["model"]["name"]
    where = f"{where}.penalty"
    need, layers = ESTIMATORS.get(name, {}).get("NEEDS"), MODELS[model].get("LAYERS")
    if need and layers is not None and need not in layers:
        raise UserError(
            f"{where}.estimator: {name} needs {_NEEDS[need]}, which {model} lacks; write `auto`"
        )
    if name == "cross_batch" and training["batch"] < 2:
        raise UserError(
            f"{where}.estimator: cross_batch halves the batch, which has one example; take a"
            " larger batch"
        )
    if name == "pairs" and training["penalty"]["probes"] < 2 and _has_softmax(config, training):
        raise UserError(
            f"{where}.probes: pairs needs at least 2 sketches of a softmax, not 1; take more"
        )


def _check_weights(training: Config, where: str) -> None:
    """Check that the weight of each lambda, of `flatreg.penalty.scale`, is a number in float32."""
    batch, chosen = training["batch"], training["penalty"]
    fold = chosen["interval"] if chosen["scaling"] == "interval_fold" else 1
    for lam in training["lambdas"]:
        if float(lam) / batch * fold > LARGEST_NUMBER:
            raise UserError(
                f"{where}: lambda {lam!r} times {fold} over the batch of {batch} is beyond"
                " single precision; take a smaller one"
            )


def _has_softmax(config: Config, training: Config) -> bool:
    """Whether a model has several logits; False if the number of classes is not known."""
    outputs, sizes = training["model"].get("outputs"), sizes_of(config, training)
    if outputs is not None or sizes is None:
        return (outputs or 1) > 1
    return sizes.classes > 2
