"""Compile the paper and hold it to its word.

LaTeX runs without a shell, in a folder of its own. An undefined or unused number, an undefined
reference or citation, an overfull box, a missing character, or a number that was typed or comes
from nowhere (`flatreg.paper.audit`) fails, and no PDF is written.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from flatreg import command
from flatreg.disk.files import checked_path
from flatreg.errors import UserError
from flatreg.paper import audit, provenance

COMMAND = ("latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape")
# A date that stays: the same inputs give the same PDF.
EPOCH = "1735689600"

# The gravest first: what stops LaTeX leaves references undefined too.
_COMPLAINTS = {
    "LaTeX stops": r"! (.*)",
    "a reference is undefined or doubled": r"LaTeX Warning: ((?:Reference|Label) .*)",
    "a citation is undefined": r"(?:Package natbib|LaTeX) Warning: (Citation .*)",
    "a box is overfull": r"(Overfull \\[hv]box .*)",
    "a character is missing": r"(Missing character: .*)",
}


def main() -> None:
    """Compile main.tex and put the PDF where it belongs."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_argument("--text", type=Path, required=True, help="main.tex")
    parser.add_argument("--references", type=Path, required=True, help="references.bib")
    parser.add_argument("--generated", type=Path, required=True, nargs="+", help="tables and such")
    parser.add_argument(
        "--provenance", type=Path, required=True, nargs="+", help="what made their numbers (JSON)"
    )
    parser.add_argument("--figures", type=Path, required=True, nargs="+", help="figures (PDF)")
    parser.add_out("the PDF")
    arguments = parser.parse_args()
    if shutil.which("latexmk") is None:
        raise UserError("latexmk is missing; `make tex` installs it or says what to type")
    text = arguments.text.read_text(encoding="utf-8")
    if complaint := audit.typed(text):
        raise UserError(f"{arguments.text}: {complaint}")
    references = arguments.references.read_text(encoding="utf-8")
    items = [item for path in arguments.provenance for item in provenance.read(path)]
    with tempfile.TemporaryDirectory(prefix="flatreg-paper-") as name:
        folder = Path(name)
        _gather(folder, arguments)
        log = compile_in(folder)
        complaint = (
            complain(log)
            or unused(arguments.text, folder / "generated" / "numbers.tex")
            or audit.unexplained(folder / "main.pdf", text, references, items)
        )
        if complaint:
            raise UserError(f"{arguments.text}: {complaint}")
        with checked_path(arguments.out) as temporary:
            shutil.copyfile(folder / "main.pdf", temporary)


def compile_in(folder: Path) -> str:
    """Run latexmk on main.tex in a folder and give back LaTeX's log."""
    environment = os.environ | {
        "SOURCE_DATE_EPOCH": EPOCH,
        "FORCE_SOURCE_DATE": "1",
        "max_print_line": "1000",
    }
    done = subprocess.run(
        [*COMMAND, "main.tex"],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    log = folder / "main.log"
    if not log.exists():
        raise UserError(f"latexmk wrote no log: {' '.join(done.stderr.split())[-200:]}")
    text = log.read_text(encoding="utf-8", errors="replace")
    if done.returncode and complain(text) is None:
        raise UserError(f"latexmk failed: {' '.join(done.stdout.split())[-200:]}")
    return text


def complain(log: str) -> str | None:
    """The gravest thing in LaTeX's log that the paper must not have, in one line."""
    lines = log.splitlines()
    for what, pattern in _COMPLAINTS.items():
        for row, line in enumerate(lines):
            found = re.match(pattern, line)
            if found:
                return f"{what}: {found[1]}{_place(lines[row : row + 8])}"
    return None


def _place(lines: list[str]) -> str:
    """Where LaTeX stopped, as it tells a few lines below its error."""
    return next((f" ({line.strip()})" for line in lines if re.match(r"l\.\d", line)), "")


def unused(text: Path, numbers: Path) -> str | None:
    """The first number that is defined and nowhere used, in one line."""
    used = set()
    for pattern, place in re.findall(r"\\val(?:\[([^\]]*)\])?\{([^}]*)\}", text.read_text("utf-8")):
        used.add(f"{pattern}@{place}")
    for name in re.findall(r"\\defval\{([^}]*)\}", numbers.read_text("utf-8")):
        if name not in used:
            return f"the number {name} is defined and not used"
    return None


def _gather(folder: Path, arguments: argparse.Namespace) -> None:
    """Copy what LaTeX reads into one folder, laid out as beside main.tex."""
    shutil.copyfile(arguments.text, folder / "main.tex")
    shutil.copyfile(arguments.references, folder / "references.bib")
    for name, paths in (("generated", arguments.generated), ("figures", arguments.figures)):
        (folder / name).mkdir()
        for path in paths:
            shutil.copyfile(path, folder / name / path.name)


if __name__ == "__main__":
    command.run(main)
