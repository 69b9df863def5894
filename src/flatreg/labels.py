"""What names of the config and of columns are called in figures, tables and text."""

from __future__ import annotations

DATASETS = {
    "breast_cancer": "Breast Cancer",
    "cifar100": "CIFAR-100",
    "digits": "Digits",
    "imdb_reviews": "IMDB",
    "newsgroups20": "20 Newsgroups",
    "newsgroups20_stripped": "20 Newsgroups, stripped",
}


def dataset(name: str, after_comma: str = " ") -> str:
    """A data set's title; one of a newcomer's own is its name without underscores.

    Args:
        name: as the config has it.
        after_comma: what stands there, a line break where room is short.
    """
    return DATASETS.get(name, name.replace("_", " ")).replace(", ", f",{after_comma}")


def short(lam: str) -> str:
    """A lambda without the zero before its point, for axes."""
    return lam.removeprefix("0") if lam.startswith("0.") else lam
