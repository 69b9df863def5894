"""Check which test sets and runs the original's numbers can come from.

Only the printed numbers and the sizes of the data sets are used. A number that fits a test set may
still come from another, so each fit comes with the probability that a random number fits.
"""

from __future__ import annotations

from pathlib import Path

from flatreg import command, tables
from flatreg.disk.files import read_json
from flatreg.errors import UserError
from flatreg.forensics import reported
from flatreg.forensics.inspection import inspect, known_manifests
from flatreg.tables.registry import EVIDENCE


def main() -> None:
    """Write the tables."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("original")
    parser.add_argument("--manifests", type=Path, required=True, nargs="+", help="data/*.json")
    parser.add_argument("--alpha", type=float, default=0.05, help="intervals cover 1 - alpha")
    parser.add_out("folder of the tables")
    arguments = parser.parse_args()
    if not 0 < arguments.alpha < 1:
        raise UserError(f"--alpha {arguments.alpha} is not between 0 and 1")
    original = reported.read(arguments.original)
    manifests = known_manifests(original, [read_json(path) for path in arguments.manifests])
    results = inspect(original, manifests, arguments.alpha)
    for name, frame in results._asdict().items():
        tables.write(arguments.out / f"{name}.csv", frame, EVIDENCE[name])


if __name__ == "__main__":
    command.run(main)
