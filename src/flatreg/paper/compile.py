"""Compile the paper and check it.

LaTeX runs without shell escape, in a temporary folder, and reads no settings or packages of the
user's own. No PDF is written if a number is undefined
or unused, a reference or citation is undefined, a box is overfull, a character is missing, or a
number was typed or has no known origin (`flatreg.paper.audit`).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from flatreg import command, surroundings
from flatreg.disk.files import checked_path
from flatreg.errors import UserError
from flatreg.paper import audit, provenance
from flatreg.paper.numbers import Reference, citations

LATEX = ("-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape")
COMMAND = ("latexmk", "-norc", "-pdf", *LATEX)
# TeX's folders of the user, whose packages, formats and settings come before the system's.
OWN = ("TEXMFHOME", "TEXMFCONFIG", "TEXMFVAR")
# A fixed date, so that the same inputs give the same PDF.
EPOCH = "1735689600"

# Most serious first: an error that stops LaTeX also leaves references undefined.
_COMPLAINTS = {
    "LaTeX stops": r"! (.*)",
    "a reference is undefined or defined twice": r"LaTeX Warning: ((?:Reference|Label) .*)",
    "a citation is undefined": r"(?:Package natbib|LaTeX) Warning: (Citation .*)",
    "a box is overfull": r"(Overfull \\[hv]box .*)",
    "a character is missing": r"(Missing character: .*)",
}


def main() -> None:
    """Compile main.tex, check the result, and write the PDF."""
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
    """Run latexmk on main.tex in a folder and return LaTeX's log."""
    process = subprocess.run(
        [*COMMAND, "main.tex"],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    log = folder / "main.log"
    if not log.exists():
        raise UserError(f"latexmk wrote no log: {' '.join(process.stderr.split())[-200:]}")
    text = log.read_text(encoding="utf-8", errors="replace")
    if process.returncode and complain(text) is None:
        raise UserError(f"latexmk failed: {' '.join(process.stdout.split())[-200:]}")
    return text


def environment(folder: Path) -> dict[str, str]:
    """The variables that LaTeX starts with: those of this process, and TeX's without the user's.

    Args:
        folder: in which LaTeX runs.
    """
    own = dict.fromkeys(OWN, str(folder / "texmf"))
    fixed = {"SOURCE_DATE_EPOCH": EPOCH, "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}
    return surroundings.held(os.environ) | own | fixed


def complain(log: str) -> str | None:
    """Describe the most serious problem in LaTeX's log in one line, or return None."""
    lines = log.splitlines()
    for what, pattern in _COMPLAINTS.items():
        for row, line in enumerate(lines):
            match = re.match(pattern, line)
            if match:
                return f"{what}: {match[1]}{_place(lines[row : row + 8])}"
    return None


def _place(lines: list[str]) -> str:
    """The line at which LaTeX stopped, printed a few lines below its error."""
    return next((f" ({line.strip()})" for line in lines if re.match(r"l\.\d", line)), "")


def unused(text: Path, numbers: Path) -> str | None:
    """Describe the first number that is defined but not used, or return None."""
    cited = citations(text.read_text(encoding="utf-8"))
    used = {f"{one.format}@{one.place}" for one in cited if isinstance(one, Reference)}
    for name in re.findall(r"\\defval\{([^}]*)\}", numbers.read_text("utf-8")):
        if name not in used:
            return f"the number {name} is defined but not used"
    return None


def _gather(folder: Path, arguments: argparse.Namespace) -> None:
    """Copy the inputs of LaTeX into one folder, in the layout that main.tex expects."""
    shutil.copyfile(arguments.text, folder / "main.tex")
    shutil.copyfile(arguments.references, folder / "references.bib")
    for name, paths in (("generated", arguments.generated), ("figures", arguments.figures)):
        (folder / name).mkdir()
        for path in paths:
            shutil.copyfile(path, folder / name / path.name)


if __name__ == "__main__":
    command.run(main)
