"""The audit finds numbers that were not computed, in main.tex and in a PDF."""

from __future__ import annotations

import subprocess
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from flatreg.paper import audit, latex, provenance
from flatreg.paper.provenance import Fact, Item


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("Accuracy is 0.4242.", "0.4242"),
        ("Accuracy is $.42$.", ".42"),
        (r"It is 12\,\%.", "12"),
        (r"It is 12\% more.", "12"),
        (r"There are 50{,}000 pictures.", "50{,}000"),
        (r"$\tr(H^2)$ is $7\cdot10^8$.", "7"),
        (r"See \cite{a} and 0.42 experiments.", "0.42"),
        (r"\val[.4f]{summary/tuned/cifar100/0.01/test_accuracy/mean} or 0.27.", "0.27"),
        (r"\val[.4f]{summary/tuned/cifar100/0.01/test_accuracy/mean} % 0.27", None),
        (r"\includegraphics[width=0.5\linewidth]{a1.5} \vspace{-.5em} \rule{1.5mm}{2pt}", None),
        (r"\begin{tabular}{@{}p{38.5mm}p{52mm}@{}} 20~Newsgroups, CIFAR-100, $k=2$", None),
        (r"\frac{1}{2} of $\lambda=1$", None),
    ],
)
def test_a_typed_result_is_found_with_its_line(body: str, found: str | None) -> None:
    text = "\\setlength{\\x}{3.6pt}\n\\begin{document}\nA line.\n" + body
    said = audit.typed(text)
    if found is None:
        assert said is None
    else:
        assert said == f"a number is typed: line 4: {found}; name its place with \\val"


def test_the_papers_own_text_has_no_typed_result(root: Path) -> None:
    text = (root / "paper/main.tex").read_text(encoding="utf-8")
    assert audit.typed(text) is None
    claim = "Every number in this report was computed"
    assert claim in text
    assert ": 0.4242; " in audit.typed(text.replace(claim, f"The accuracy is 0.4242. {claim}"))


def item(printed: str) -> Item:
    return Item("a", printed, 1, "made up", [], [], "none")


TEXT = r"""\documentclass{article}
\usepackage{graphicx}
\title{A title TITLE}
\date{}
\begin{document}
\maketitle
\section{First}
Ours is 0.2776, or $7.09\cdot10^{8}$ of 11{,}314, with $-0.50$ in $\lambda=0.01$ and $p<0.001$ for
CIFAR-100.
\includegraphics{figure}
\end{document}
"""
PRINTED = ["0.2776", "7.09·10^8", "11,314", "-0.50", "λ=0.01 (p = <0.001)"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two compiled papers: one with a figure that prints 0.9999, one with a number in its title."""
    folder = tmp_path_factory.mktemp("paper")
    figure = Figure((2, 2))
    figure.text(0.1, 0.5, "0.9999")
    with mpl.rc_context({"pdf.fonttype": 42}):
        figure.savefig(folder / "figure.pdf")
    for name, title in (("sound", ""), ("made_up", "0.4242")):
        (folder / f"{name}.tex").write_text(TEXT.replace("TITLE", title))
        command = ["pdflatex", "-interaction=batchmode", "-halt-on-error", f"{name}.tex"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def unexplained(folder: Path, name: str, printed: list[str]) -> str | None:
    text = (folder / f"{name}.tex").read_text()
    return audit.unexplained(folder / f"{name}.pdf", text, "", [item(p) for p in printed])


def test_a_pdf_whose_numbers_all_have_an_item_passes(folder: Path) -> None:
    assert unexplained(folder, "sound", PRINTED) is None


@pytest.mark.parametrize(
    ("left_out", "number"),
    [("0.2776", "0.2776"), ("7.09·10^8", "7.09"), ("-0.50", "0.50"), (PRINTED[-1], "0.01")],
)
def test_each_number_needs_its_item(folder: Path, left_out: str, number: str) -> None:
    said = unexplained(folder, "sound", [p for p in PRINTED if p != left_out])
    assert said.startswith(f"a number has no known origin: {number}, page 1 (")


def test_a_made_up_number_in_a_title_is_found_in_the_pdf(folder: Path) -> None:
    said = unexplained(folder, "made_up", PRINTED)
    assert said.startswith("a number has no known origin: 0.4242, page 1 (A title 0.4242 ")


def test_figures_are_left_out_and_text_is_not(folder: Path) -> None:
    (page,) = audit.printed_pages(folder / "sound.pdf")
    assert "0.9999" not in page
    assert "Ours is 0.2776" in page


@pytest.mark.parametrize("value", [0.27764, -3.2e-7, 708697344.9, 50000.0, 1.0, 1e100])
@pytest.mark.parametrize("pattern", [".4f", ".3g", "+.3g", ","])
def test_forms_of_every_number_that_is_written(value: float, pattern: str) -> None:
    """Without signs and blanks, the number that LaTeX prints is among the forms of its item."""
    text = latex.number(value, pattern)
    made = provenance.printed("a", Fact(value, "made up", [], []), text).items[0]
    seen = text.replace(r"\cdot", " ").replace("^", "").translate({ord(c): None for c in "${}"})
    assert set(audit.numbers(seen)) <= audit.forms(made.printed)
