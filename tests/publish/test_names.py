"""The original is named where the project speaks of it; no count is told without its caveat."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

TITLE = "Flat is the New Sharp: Flatness-Aware Regularization for Robust Learning"


def words(text: str) -> str:
    """A text without line breaks, and without the braces that protect a bibliography's capitals."""
    return " ".join(re.sub(r"[{}]", "", text).split())


def part(text: str, begin: str, end: str) -> str:
    return text.partition(begin)[2].partition(end)[0]


@pytest.fixture
def paper(root: Path) -> str:
    return (root / "paper/main.tex").read_text(encoding="utf-8")


def test_the_original_is_named(root: Path, paper: str) -> None:
    abstract = words(part(paper, r"\begin{abstract}", r"\end{abstract}"))
    references = words((root / "paper/references.bib").read_text(encoding="utf-8"))
    pages = [
        root / "README.md",
        *(root / f"docs/{n}.md" for n in ("study", "results", "cost", "penalty-under-adam")),
    ]
    for text in (abstract, references, *(words(page.read_text("utf-8")) for page in pages)):
        assert TITLE in text
        assert re.search("anonymous authors", text, re.IGNORECASE)
        assert re.search("under double-blind review", text, re.IGNORECASE)
    introduction = part(paper, r"\section{Scope of reproducibility}", r"\section")
    assert r"\citep{original}" in introduction


def test_whoever_cites_the_project_finds_the_original(root: Path) -> None:
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    (original,) = citation["references"]
    assert original["title"] == TITLE
    assert original["authors"] == [{"name": "Anonymous authors"}]
    assert "double-blind review" in original["notes"]


def test_the_abstract_has_no_score_of_verdicts(paper: str) -> None:
    assert r"\val{claims/" not in part(paper, r"\begin{abstract}", r"\end{abstract}")


def test_a_count_of_pictures_stands_beside_its_caveat(paper: str) -> None:
    """Whole numbers in 600 do not prove 200 test pictures."""
    _, _, text = paper.partition(r"\begin{document}")
    counted = [part for part in re.split(r"\n\n|\\paragraph", text) if "grim/cifar100/200" in part]
    assert counted
    assert all(r"\notproof" in part for part in counted)
