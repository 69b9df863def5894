"""Write tables of the paper, each with the provenance of its numbers beside it."""

from __future__ import annotations

from pathlib import Path

from flatreg import command
from flatreg.disk.files import write_checked_text
from flatreg.errors import UserError
from flatreg.paper import provenance, sources
from flatreg.paper.tables import OF_DATASET, table_function


def main() -> None:
    """Write the named tables."""
    parser = command.Parser(__spec__, __doc__)
    named = f"table_{OF_DATASET} for the results of a data set, or as the paper inputs it"
    parser.add_argument("names", metavar="NAME", nargs="+", help=named)
    sources.add_flags(parser)
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, help="the file of each table (.tex)"
    )
    arguments = parser.parse_args()
    if len(arguments.names) != len(arguments.out):
        raise UserError(
            f"{len(arguments.names)} tables are named and {len(arguments.out)} files; give --out "
            "one file for each table"
        )
    cited = sources.read(arguments)
    for name, out in zip(arguments.names, arguments.out, strict=True):
        table = table_function(name)(cited)
        write_checked_text(out, table.text)
        provenance.write(out, table.items)


if __name__ == "__main__":
    command.run(main)
