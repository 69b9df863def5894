"""Turn one reading of a text into TF-IDF features: `python -m flatreg.featurize --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from flatreg import config
from flatreg.datasets.prepared import csr_arrays, read_arrays, read_csr, write_arrays
from flatreg.datasets.text import decode_words, tfidf
from flatreg.errors import UserError, run_command
from flatreg.files import read_json

COPIED = ("name", "classes", "maximum", "sha256", "y_train", "y_test")


def main() -> None:
    """Read word counts and write TF-IDF features."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.featurize", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--data", type=Path, required=True, help="prepared word counts (.npz)")
    parser.add_argument("--reading", required=True, help="whole or stripped")
    parser.add_argument("--out", type=Path, required=True, help="features (.npz)")
    arguments = parser.parse_args()
    counts = read_arrays(arguments.data)
    settings = config.data_settings(read_json(arguments.config), str(counts["name"]))
    write_arrays(arguments.out, features(counts, arguments.reading, settings))


def features(
    counts: dict[str, np.ndarray], reading: str, settings: dict[str, int | bool]
) -> dict[str, np.ndarray]:
    """The arrays of a features file.

    Raises:
        UserError: the source has no such reading.
    """
    if f"{reading}_words" not in counts:
        raise UserError(f"{counts['name']} has no reading {reading!r}")
    train, test, kept = tfidf(
        read_csr(counts, f"{reading}_train"), read_csr(counts, f"{reading}_test"), settings
    )
    words = decode_words(counts[f"{reading}_words"])
    return {
        **{name: counts[name] for name in COPIED},
        **csr_arrays("tfidf_train", train),
        **csr_arrays("tfidf_test", test),
        "words": np.array([words[i] for i in kept]),
    }


if __name__ == "__main__":
    run_command(main)
