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


def dataset(name: str) -> str:
    """A data set's title; one of a newcomer's own is its name without underscores."""
    return DATASETS.get(name, name.replace("_", " "))
