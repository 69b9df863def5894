"""Draw one figure of the study, as a PDF for the paper and an SVG for the report."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from flatreg import command
from flatreg.config import Config, main_protocols
from flatreg.data.prepared import read_arrays
from flatreg.disk.files import read_json
from flatreg.figures.registry import FIGURES
from flatreg.figures.style import STYLE, SUFFIXES, save, use
from flatreg.tables.registry import read_named


def main() -> None:
    """Read the figure's inputs, draw it and write it in both formats."""
    arguments = _parse()
    mpl.use("agg")
    # fontTools warns of Computer Modern's old time stamp for every glyph subset; that is harmless.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    row, study = FIGURES[arguments.name], read_json(arguments.config)
    contents = [read_input(name, getattr(arguments, name)) for name in row.inputs]
    inputs = [of_protocols(content, study, row.protocols) for content in contents]
    with mpl.rc_context():
        use(STYLE)
        figure = drawing_function(row.function)(study, *inputs)
        for suffix in SUFFIXES:
            save(figure, arguments.out.with_suffix(suffix))
        plt.close(figure)


def drawing_function(name: str) -> Callable[..., Figure]:
    """The function that a row of the registry names."""
    module, _, function = name.partition(".")
    return getattr(import_module(f"flatreg.figures.{module}"), function)


def read_input(name: str, paths: list[Path]) -> Any:
    """Read one input of a figure.

    Args:
        name: of the input, as in the registry.
        paths: of its files: several for the surfaces, else one.

    Raises:
        UserError: a file is missing, broken, or was changed after it was made.
    """
    if name == "surfaces":
        return {path.stem: read_arrays(path) for path in paths}
    (path,) = paths
    return read_json(path) if name in ("original", "bench", "frontier") else read_named(path, name)


def of_protocols(content: Any, study: Config, which: str) -> Any:
    """The rows of a table whose protocol the figure shows; other inputs unchanged.

    Args:
        content: of an input.
        study: completed config.
        which: "main", "surface" or "all", as in the registry.
    """
    if which == "all" or not isinstance(content, pd.DataFrame):
        return content
    protocols = {"main": main_protocols(study), "surface": [study["surface"]["protocol"]]}
    return content[content["protocol"].isin(protocols[which])]


def _parse() -> argparse.Namespace:
    parser = command.Parser(__spec__, __doc__)
    names = parser.add_names()
    for name, row in FIGURES.items():
        figure = names.add_parser(name, help=row.label, description=row.caption)
        figure.add_argument("--config", type=Path, required=True, help=command.INPUTS["config"])
        for flag in row.inputs:
            figure.add_argument(f"--{flag.replace('_', '-')}", type=Path, required=True, nargs="+")
        figure.add_argument("--out", type=Path, required=True, help="the PDF; an SVG goes beside")
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
