"""Write the checked and completed config.

By hand: `python -m flatreg.config config.yaml --schema workflow/schemas/config.schema.json \
--out results/config.json`.
"""

from __future__ import annotations

from pathlib import Path

from flatreg import command
from flatreg.config.complete import read
from flatreg.config.optimization import check_optimizers
from flatreg.disk.files import write_json


def main() -> None:
    """Write the checked and completed config."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_argument(
        "config", type=Path, nargs="+", help="YAML, later over earlier; - is standard input"
    )
    parser.add_inputs("schema")
    parser.add_out("the completed config (JSON)")
    arguments = parser.parse_args()
    config = read(arguments.config, arguments.schema)
    check_optimizers(config)
    write_json(arguments.out, config)


if __name__ == "__main__":
    command.run(main)
