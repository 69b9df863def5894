"""Names that figures, tables and text print for data sets, measures and lambdas."""

from __future__ import annotations

DATASETS = {
    "breast_cancer": "Breast Cancer",
    "cifar100": "CIFAR-100",
    "digits": "Digits",
    "imdb_reviews": "IMDB",
    "newsgroups20": "20 Newsgroups",
    "newsgroups20_stripped": "20 Newsgroups, stripped",
}

# Measures of flatness, in LaTeX notation and without their radius.
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
    """The title of a measure of flatness, with its radius; an unknown name is returned unchanged.

    Args:
        name: as in the tables, with the radius after the last underscore.
        titles: titles of the measures without radius, by name.
        radius: format of a radius.
    """
    kind, _, number = name.rpartition("_")
    if kind in titles and name not in titles:
        return f"{titles[kind]}, {radius.format(number)}"
    return titles.get(name, name)


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
