r"""Check that every result in the paper is generated.

In main.tex no decimal and no percentage may be typed. In the PDF every decimal must be printed by
an item of the generated files (`flatreg.paper.provenance`) or stand in the references. A whole
number may also stand in main.tex, or count pages, sections, captions or lines of algorithms.
Numbers drawn in figures are not checked.
"""

from __future__ import annotations

import re
from pathlib import Path

from pypdf import PdfReader
from pypdf.generic import DictionaryObject, StreamObject

from flatreg.paper import latex
from flatreg.paper.provenance import Item

# Commands whose digits are not printed.
_UNPRINTED = re.compile(
    r"\\(?:val|est|datalink)(?:\[[^\]]*\])?\{[^}]*\}"
    r"|\\pick\{[^}]*\}\{[^}]*\}"
    r"|\\(?:label|ref|eqref|cite\w*|input|when|resulttable)\*?\{[^}]*\}"
    r"|\\(?:begin\{tabular\}|includegraphics)(?:\[[^\]]*\])?\{.*\}"
    r"|\d*\.?\d+(?:(?:pt|mm|cm|em|ex)\b|\\linewidth|\\textwidth)"
)
_RESULT = re.compile(
    r"\d*\.\d+|\d+\{,\}\d+|\d+(?=(?:\s|\\,)*\\%)|\d+(?=\s*(?:\\cdot|\\times)\s*10\s*\^)"
)
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_COUNTED = re.compile(
    r"\\(?:section|caption|resulttable|State|Require|For|If|EndFor|EndIf|Function|EndFunction)\b"
)


def typed(text: str) -> str | None:
    """Describe the first typed result in the text of main.tex, or return None."""
    inside = False
    for row, line in enumerate(text.splitlines(), start=1):
        if inside and (match := _RESULT.search(_UNPRINTED.sub("", latex.without_comment(line)))):
            return rf"a number is typed: line {row}: {match[0]}; name its place with \val"
        # Numbers that the preamble prints are found in the PDF.
        inside = inside or r"\begin{document}" in line
    return None


def unexplained(pdf: Path, text: str, references: str, items: list[Item]) -> str | None:
    """Describe the first number in the PDF without a known origin, or return None.

    Args:
        pdf: the compiled paper.
        text: content of main.tex.
        references: content of references.bib.
        items: items of all generated files.
    """
    pages = printed_pages(pdf)
    known = {number for item in items for number in forms(item.printed)} | set(numbers(references))
    # Only whole numbers of main.tex: a decimal typed in its preamble is a result.
    known |= {number for number in numbers(text) if "." not in number}
    known |= {str(n) for n in range(max(len(pages), len(_COUNTED.findall(text))) + 1)}
    for page, words in enumerate(pages, start=1):
        for match in _NUMBER.finditer(words):
            if match[0] not in known:
                around = " ".join(words[max(0, match.start() - 30) : match.end() + 10].split())
                return f"a number has no known origin: {match[0]}, page {page} ({around})"
    return None


def numbers(text: str) -> list[str]:
    """All numbers in a text, without signs."""
    return _NUMBER.findall(text)


def forms(printed: str) -> set[str]:
    """The numbers of an item as extracted from a PDF: 7.09·10^8 becomes 7.09 and 108."""
    return {*numbers(printed), *(f"10{power}" for power in re.findall(r"10\^(\d+)", printed))}


def printed_pages(pdf: Path) -> list[str]:
    """The text of each page, without the text in figures."""
    pages = PdfReader(pdf).pages
    for page in pages:
        drawn = page["/Resources"].get("/XObject", DictionaryObject()).get_object()
        for figure in drawn.values():
            stream = figure.get_object()
            if isinstance(stream, StreamObject) and stream.get("/Subtype") == "/Form":
                stream.set_data(b"")
    return [page.extract_text() for page in pages]
