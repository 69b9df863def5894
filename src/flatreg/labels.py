"""Names that figures, tables and text print for data sets, measures and lambdas."""

from __future__ import annotations

from typing import NamedTuple

DATASETS = {
    "breast_cancer": "Breast Cancer",
    "cifar100": "CIFAR-100",
    "digits": "Digits",
    "imdb_reviews": "IMDB",
    "newsgroups20": "20 Newsgroups",
    "newsgroups20_stripped": "20 Newsgroups, stripped",
}

# The families of claims in the order in which they are shown.
FAMILIES = {
    "primary": "Primary claims of the original",
    "secondary": "Other claims of the original",
    "asked": "Asked by us: the original does not say it",
    "bookkeeping": "Bookkeeping: numbers that the original reports",
}


class Title(NamedTuple):
    """What a measure of flatness is called; its radius, if it has one, follows."""

    latex: str
    words: str


MEASURES = {
    "tr_h": Title(r"$\mathrm{tr}(H)$", "tr(H)"),
    "tr_h2": Title(r"$\mathrm{tr}(H^2)$", "tr(H²)"),
    "lambda_max": Title(r"$\lambda_{\max}(H)$", "largest eigenvalue of H"),
    "parameter_norm": Title("parameter norm", "norm of the parameters"),
    "train_accuracy": Title("training accuracy", "training accuracy"),
    "train_loss": Title("training loss", "training loss"),
    "sam_sharpness": Title("SAM", "sharpness of SAM"),
    "asam_sharpness": Title("ASAM", "sharpness of ASAM"),
    "relative_flatness": Title("relative flatness", "relative flatness of the last layer"),
    "fisher_rao_norm": Title("Fisher-Rao norm", "Fisher-Rao norm"),
}


def measure(name: str) -> str:
    """A measure of flatness in LaTeX, its radius behind it; an unknown one as it is.

    Args:
        name: as in the tables, a radius after its last underscore.
    """
    return _measure(name, {key: title.latex for key, title in MEASURES.items()}, r"$\rho={}$")


def measure_in_words(name: str) -> str:
    """A measure of flatness for text without mathematics; `name` as of `measure`."""
    return _measure(name, {key: title.words for key, title in MEASURES.items()}, "radius {}")


def _measure(name: str, titles: dict[str, str], radius: str) -> str:
    kind, _, number = name.rpartition("_")
    if kind in titles and name not in titles:
        return f"{titles[kind]}, {radius.format(number)}"
    return titles.get(name, name)


# The networks of the bench of precision.
NETWORKS = {
    "breast_cancer": "Breast Cancer, dense",
    "cifar100": "CIFAR-100, dense",
    "cnn": "CIFAR-100, CNN",
    "transformer": "CIFAR-100, Transformer",
}


def network(name: str) -> str:
    """Data set and kind of a network of the bench; for another one, its name with spaces."""
    return NETWORKS.get(name, name.replace("_", " "))


def dataset(name: str, after_comma: str = " ") -> str:
    """A data set's title; for one that is not in `DATASETS`, its name with spaces.

    Args:
        name: as in the config.
        after_comma: what follows a comma: a line break where there is little room.
    """
    return DATASETS.get(name, name.replace("_", " ")).replace(", ", f",{after_comma}")


def short(lam: str) -> str:
    """A lambda without the zero before its decimal point, for axes."""
    return lam.removeprefix("0") if lam.startswith("0.") else lam
