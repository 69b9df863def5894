"""Write one table of the paper, with the provenance of its numbers beside it."""

from __future__ import annotations

from flatreg import command
from flatreg.disk.files import write_checked_text
from flatreg.paper import provenance, sources
from flatreg.paper.tables import OF_DATASET, table_function


def main() -> None:
    """Write the named table."""
    parser = command.Parser(__spec__, __doc__)
    named = f"table_{OF_DATASET} for the results of a data set, or as the paper inputs it"
    parser.add_argument("name", metavar="NAME", help=named)
    sources.add_flags(parser)
    parser.add_out("the table (.tex)")
    arguments = parser.parse_args()
    table = table_function(arguments.name)(sources.read(arguments))
    write_checked_text(arguments.out, table.text)
    provenance.write(arguments.out, table.items)


if __name__ == "__main__":
    command.run(main)
