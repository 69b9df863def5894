"""What the config asks of data sets whose sizes are known before they are read.

The arithmetic is that of `flatreg.data.stratified`, on the numbers of examples of each class.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from flatreg.config.registries import SOURCES
from flatreg.config.study import Config, data_settings
from flatreg.errors import UserError

# Steps are counted in 32 bits, and the rates of all steps of a run are in memory.
MOST_STEPS = 100_000_000

# Numbers of examples, one for each class that has any.
Counts = list[int]


class Sizes(NamedTuple):
    """Numbers of examples of a training.

    Attributes:
        train: without those that are held out for validation.
        classes: number of classes.
    """

    train: int
    classes: int


def check_sizes(config: Config, training: Config, where: str) -> None:
    """Check the sizes that a training asks for, if those of its source are known.

    Args:
        config: the completed config.
        training: its entry of the data set.
        where: the place of the entry.

    Raises:
        UserError: a split cannot be made, or a batch, or a number of logits does not fit.
    """
    facts = SOURCES[training["source"]]
    if training["inputs"] == "unit" and facts.get("MAXIMUM", 1) is None:
        raise UserError(
            f"{where}.inputs: unit divides by the largest pixel value, which only pictures have;"
            " write `raw` or `standardized`"
        )
    sizes = sizes_of(config, training, where)
    if sizes is None:
        return
    _check_batch(training, sizes.train, where)
    _check_logits(training, sizes.classes, where)


def sizes_of(config: Config, training: Config, where: str = "config") -> Sizes | None:
    """The numbers of examples of a training; None for a source whose sizes are not known.

    Raises:
        UserError: a split cannot be made.
    """
    sizes = SOURCES[training["source"]].get("CLASS_SIZES")
    if sizes is None:
        return None
    splits = {name: _counts(of_split) for name, of_split in sizes.items()}
    classes = len(next(iter(splits.values())))
    if "all" in splits:
        splits = _with_test_split(config, training["source"], splits["all"])
    _check_test_examples(training, sum(splits["test"]), where)
    used = _used_for_training(training, splits["train"], where)
    return Sizes(_left_for_training(training, used, where), classes)


def _counts(sizes: dict[int, int]) -> Counts:
    return [count for count, classes in sizes.items() for _ in range(classes)]


def _with_test_split(config: Config, source: str, counts: Counts) -> dict[str, Counts]:
    fraction = data_settings(config, source)["test_fraction"]
    where = f"config: data.{source}.test_fraction: {fraction}"
    tested = math.ceil(fraction * sum(counts))
    _check_parts(counts, tested, "testing", where)
    train = _shares(counts, sum(counts) - tested)
    test = [count - share for count, share in zip(counts, train, strict=True)]
    return {"train": [share for share in train if share], "test": test}


def _check_test_examples(training: Config, there: int, where: str) -> None:
    wanted = training["test_examples"]
    if wanted is not None and wanted > there:
        raise UserError(
            f"{where}.test_examples: {training['source']} has {there} test examples, not {wanted};"
            " take fewer"
        )


def _used_for_training(training: Config, counts: Counts, where: str) -> Counts:
    """What `train_examples` takes of the training split, validation included."""
    wanted, there = training["train_examples"], sum(counts)
    if wanted is None:
        return counts
    where = f"{where}.train_examples"
    if wanted > there:
        raise UserError(
            f"{where}: {training['source']} has {there} training examples, not {wanted}; take fewer"
        )
    shares = _shares(counts, wanted)
    if min(shares) < 2:
        raise UserError(
            f"{where}: {wanted} of {there} examples leave fewer than 2 of a class, one for"
            " validation; take more"
        )
    return shares


def _left_for_training(training: Config, counts: Counts, where: str) -> int:
    fraction = training["validation_fraction"]
    held = math.ceil(fraction * sum(counts))
    _check_parts(counts, held, "validation", f"{where}.validation_fraction: {fraction}")
    return sum(counts) - held


def _check_parts(counts: Counts, second: int, purpose: str, what: str) -> None:
    """Check that a stratified split can be made, with `second` examples for a purpose."""
    total, classes = sum(counts), len(counts)
    if min(counts) < 2:
        raise UserError(
            f"{what} of training examples, of which a class has a single one; choose a smaller"
            " test_fraction"
        )
    parts = (("training", total - second, "smaller"), (purpose, second, "larger"))
    for name, size, remedy in parts:
        if size < classes:
            raise UserError(
                f"{what} of {total} examples leaves {size} for {name}, fewer than the {classes}"
                f" classes; choose a {remedy} one"
            )


def _shares(counts: Counts, wanted: int) -> Counts:
    """How many of `wanted` examples are of each class; of a tie, small classes get none."""
    exact = [count / sum(counts) * wanted for count in counts]
    shares = [math.floor(share) for share in exact]
    order = sorted(range(len(counts)), key=lambda i: (shares[i] - exact[i], -shares[i]))
    for number in order[: wanted - sum(shares)]:
        shares[number] += 1
    return shares


def _check_batch(training: Config, examples: int, where: str) -> None:
    batch, epochs = training["batch"], training["epochs"]
    if batch > examples:
        raise UserError(
            f"{where}.batch: {batch} is more than the {examples} training examples; choose a"
            " smaller one"
        )
    if epochs * (examples // batch) > MOST_STEPS:
        raise UserError(
            f"{where}.epochs: {epochs} of {examples // batch} steps are more than {MOST_STEPS}"
            " steps; take fewer"
        )


def _check_logits(training: Config, classes: int, where: str) -> None:
    outputs = training["model"].get("outputs")
    if outputs is not None and 1 < outputs < classes:
        raise UserError(
            f"{where}.model.outputs: {outputs} logits are too few for {classes} classes; write 1,"
            f" or {classes}"
        )
