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

# Measures of flatness, in LaTeX's mathematics; a radius follows.
MEASURES = {
    "tr_h": r"$\mathrm{tr}(H)$",
    "tr_h2": r"$\mathrm{tr}(H^2)$",
    "lambda_max": r"$\lambda_{\max}(H)$",
    "parameter_norm": "parameter norm",
    "sam_sharpness": "SAM",
    "asam_sharpness": "ASAM",
    "relative_flatness": "relative flatness",
    "fisher_rao_norm": "Fisher-Rao norm",
}


def measure(name: str, titles: dict[str, str] = MEASURES, radius: str = r"$\rho={}$") -> str:
    """A measure of flatness, its radius behind it; one that is not known as it is.

    Args:
        name: as tables have it, a radius after its last underscore.
        titles: of the measures, without radius.
        radius: how one is written.
    """
    kind, _, number = name.rpartition("_")
    if kind in titles and name not in titles:
        return f"{titles[kind]}, {radius.format(number)}"
    return titles.get(name, name)


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
