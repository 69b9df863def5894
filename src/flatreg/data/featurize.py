"""Turn one reading of a text into TF-IDF features."""

from __future__ import annotations

import numpy as np

from flatreg import command, config
from flatreg.data.csr import csr_arrays, read_csr
from flatreg.data.prepared import read_arrays, write_arrays
from flatreg.data.text import decode_words, tfidf
from flatreg.disk.files import read_json
from flatreg.errors import UserError

COPIED = ("name", "classes", "maximum", "sha256", "y_train", "y_test")


def main() -> None:
    """Read word counts and write TF-IDF features."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config", "data")
    parser.add_argument("--reading", required=True, help="whole or stripped")
    parser.add_out("features (.npz)")
    arguments = parser.parse_args()
    counts = read_arrays(arguments.data)
    settings = config.data_settings(read_json(arguments.config), str(counts["name"]))
    write_arrays(arguments.out, features(counts, arguments.reading, settings))


def features(
    counts: dict[str, np.ndarray], reading: str, settings: config.DataSettings
) -> dict[str, np.ndarray]:
    """The arrays of a features file.

    Raises:
        UserError: the source has no such reading.
    """
    if f"{reading}_words" not in counts:
        raise UserError(f"{counts['name']} has no reading {reading!r}")
    train, test, columns = tfidf(
        read_csr(counts, f"{reading}_train"), read_csr(counts, f"{reading}_test"), settings
    )
    words = decode_words(counts[f"{reading}_words"])
    return {
        **{name: counts[name] for name in COPIED},
        **csr_arrays("tfidf_train", train),
        **csr_arrays("tfidf_test", test),
        "words": np.array([words[i] for i in columns]),
    }


if __name__ == "__main__":
    command.run(main)
