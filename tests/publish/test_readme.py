"""README and docs: generated blocks match the tables; links and commands work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from flatreg import config, penalty, statistics, tables
from flatreg.disk.files import read_json
from flatreg.errors import UserError
from flatreg.publish import readme, stages
from flatreg.tables.evidence import CLAIMS_TABLE, VERDICTS

BEGIN, END = readme.markers("results")


def cell(lam: str, metric: str, n: int, diverged: int, mean: float, sd: float) -> dict:
    """Return a row of summary.csv."""
    row = {"protocol": "stated", "dataset": "breast_cancer", "lambda": lam, "metric": metric}
    row |= {"n": n, "diverged": diverged, "mean": mean, "sd": sd, "note": ""}
    return row | dict.fromkeys(["low", "high", "minimum", "maximum"], mean)


NONE = float("nan")


@pytest.fixture
def summary() -> pd.DataFrame:
    rows = [
        cell("0", "test_accuracy", 3, 0, 0.91234567, 0.0123),
        cell("0", "tr_h2", 3, 0, 0.0123456, 0.00345),
        cell("1", "test_accuracy", 1, 2, 0.5, NONE),
        cell("1", "tr_h2", 1, 2, 24280.0, NONE),
        cell("0.1", "test_accuracy", 0, 3, NONE, NONE),
        cell("0.1", "tr_h2", 0, 3, NONE, NONE),
    ]
    rows.append(rows[0] | {"protocol": "tuned", "dataset": "their_own", "n": 5})
    rows.append(rows[1] | {"protocol": "tuned", "dataset": "their_own", "n": 5})
    frame = pd.DataFrame(rows)[list(tables.SUMMARY_TABLE.columns)]
    return tables.check(frame, tables.SUMMARY_TABLE, "test")


def test_a_table_shows_every_cell_with_what_diverged(summary):
    accuracy, flatness = readme.results(summary).split("\n\n**")
    assert accuracy.splitlines() == [
        "**Test accuracy (share of test examples right)**",
        "",
        "| protocol | data set | seeds | λ = 0 | λ = 0.1 | λ = 1 |",
        "| --- | --- | --- | --- | --- | --- |",
        "| stated | Breast Cancer | 3 | 0.9123 ± 0.0123 | †3 | 0.5000 †2 |",
        "| tuned | their own | 5 | 0.9123 ± 0.0123 |  |  |",
    ]
    assert "| stated | Breast Cancer | 3 | 0.0123 ± 0.0034 | †3 | 2.43e+04 †2 |" in flatness


def test_only_what_stands_between_the_markers_changes(summary):
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = readme.with_block(text, "results", readme.results(summary))
    assert once.startswith(f"before\n{BEGIN}\n\n**Test accuracy")
    assert once.endswith(f"|\n\n{END}\nafter\n")
    assert "old" not in once
    assert readme.with_block(once, "results", readme.results(summary)) == once


@pytest.mark.parametrize("lost", [BEGIN, END])
def test_a_lost_marker_is_one_line(lost):
    text = f"{BEGIN}\n{END}\n".replace(lost, "")
    with pytest.raises(UserError, match=re.escape(lost)):
        readme.with_block(text, "results", "")


def pages(root: Path) -> list[Path]:
    """Return README, CONTRIBUTING and every page of the site."""
    site = sorted((root / "docs").glob("*.md"))
    assert len(site) >= 12
    return [root / "README.md", root / "CONTRIBUTING.md", *site]


@pytest.mark.slow
def test_the_command_writes_every_page(root, tmp_path):
    """One call on a copy with empty blocks restores the committed pages."""
    shutil.copytree(root / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("_build"))
    shutil.copy(root / "README.md", tmp_path)
    emptied = set()
    for path, text in readme.pages(tmp_path).items():
        bare = re.sub(r"(; do not edit -->\n).*?(<!-- end of)", r"\1\2", text, flags=re.S)
        path.write_text(bare, encoding="utf-8")
        emptied |= {path.name} if bare != text else set()
    expected = {"README.md", "results.md", "cost.md", "penalty-under-adam.md", "study.md"}
    expected |= {"penalty.md"}
    assert emptied == expected
    command = [sys.executable, "-m", "flatreg", "readme", "--root", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, timeout=120)
    for path, text in readme.pages(root).items():
        assert (tmp_path / path.relative_to(root)).read_text(encoding="utf-8") == text, path


def test_pages_are_as_the_command_writes_them(root):
    questions = root / readme.QUESTIONS
    blocks = readme.all_blocks(root / "results/reference", root / "bench/results", questions)
    texts = readme.pages(root)
    for path, text in readme.rewritten(texts, blocks).items():
        assert text == texts[path], f"{path}: flatreg readme"


def test_a_block_without_a_page_and_a_marker_without_a_block_are_one_line():
    page = Path("page.md")
    text = f"{BEGIN}\n{END}\n"
    assert readme.rewritten({page: text, Path("other.md"): ""}, {"results": "new\n"}) == {
        page: f"{BEGIN}\n\nnew\n\n{END}\n"
    }
    with pytest.raises(UserError, match=re.escape("page.md: there is no block results; name")):
        readme.rewritten({page: text}, {"cost": ""})
    with pytest.raises(UserError, match=re.escape(readme.markers("cost")[0])):
        readme.rewritten({page: text}, {"results": "", "cost": ""})


def test_the_readme_is_short_and_has_the_library_s_example_early(root):
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 130
    example = lines[lines.index("```python") :]
    assert lines.index("```python") + example.index("```") < 60, "its last line, counted from 0"
    assert any("penalty.value_and_grad" in line for line in example[: example.index("```")])
    figures = [line for line in lines if line.startswith("![")]
    assert len(figures) == 2, "one of the results, and one of the library's cost"


def heading_anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and the site generate for a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_relative_link_leads_somewhere(root):
    for page in pages(root):
        # An index and a call in code, `layers[0](x)`, look like a link.
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        links = re.findall(r"(?:\]\(|src=\")([^)\"#:]*)(?:#([^)\"]+))?[)\"]", text)
        assert links or page.name.startswith("api-"), page
        lost = [link for link, _ in links if not (page.parent / link).exists()]
        assert not lost, page
        for link, anchor in links:
            target = page if link == "" else page.parent / link
            assert not anchor or anchor in heading_anchors(target), f"{page}: {link}#{anchor}"


def test_every_page_is_in_the_site_s_contents_and_within_reach_of_its_first(root):
    text = (root / "docs/index.md").read_text(encoding="utf-8")
    contents = re.findall(r"^([a-z-]+)$", text, re.M)
    site = {path.stem for path in (root / "docs").glob("*.md")} - {"index"}
    assert set(contents) == site
    assert len(contents) == len(site)
    assert {f"{name}.md" for name in site} <= set(re.findall(r"\]\(([^)]+\.md)\)", text))


def test_every_target_it_names_is_one_of_make(root):
    targets = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.M)
    named = {}
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        named[page.name] = set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.M))
        assert named[page.name] <= set(targets), page
    for page in ["README.md", "CONTRIBUTING.md", "tutorial.md", "cluster.md", "cost.md"]:
        assert named[page], page


@pytest.mark.parametrize("package", [penalty, statistics])
def test_the_reference_has_every_public_name_of_the_library(root, package):
    page = f"docs/api-{package.__name__.rpartition('.')[2]}.md"
    text = (root / page).read_text(encoding="utf-8")
    shown = re.findall(r"^\.\. auto(?:function|class|exception):: (\w+)$", text, re.M)
    assert sorted(shown) == sorted(package.__all__), page


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_for_nothing_outside(root, tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "--fail-on-warning", "--nitpicky"]
    command += ["-d", str(tmp_path / "doctrees"), str(root / "docs"), str(tmp_path / "html")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    built = sorted((tmp_path / "html").glob("*.html"))
    assert {page.stem for page in built} >= {path.stem for path in (root / "docs").glob("*.md")}
    for page in built:
        text = page.read_text(encoding="utf-8")
        asked = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(\w+:)?//", text)
        assert not asked, page


def test_a_page_shows_the_reference(root):
    summary = tables.read(root / "results/reference/summary.csv", tables.SUMMARY_TABLE)
    study = read_json(root / "results/reference/config.json")
    protocols = config.main_protocols(study)
    assert protocols == ["stated", "literal", "every_step", "adam"]
    text = (root / "docs/results.md").read_text(encoding="utf-8")
    shown = readme.results(readme.of_protocols(summary, protocols))
    assert readme.with_block(text, "results", shown) == text


def test_the_page_on_adam_shows_the_reference(root):
    reference = root / "results/reference"
    summary = tables.read(reference / "summary.csv", tables.SUMMARY_TABLE)
    ledger = tables.read(reference / "claims.csv", CLAIMS_TABLE)
    text = (root / "docs/penalty-under-adam.md").read_text(encoding="utf-8")
    cells = readme.of_protocols(summary, list(readme.OPTIMIZERS))
    assert readme.with_block(text, "adam", readme.under_adam(ledger, cells)) == text


def test_a_page_shows_the_ledger(root):
    ledger = tables.read(root / "results/reference/claims.csv", CLAIMS_TABLE)
    text = (root / "docs/results.md").read_text(encoding="utf-8")
    assert readme.with_block(text, "claims", readme.claims(ledger)) == text


def test_a_page_shows_the_times(root):
    times = tables.read(root / "results/reference/stages.csv", stages.TABLE)
    text = (root / "docs/cost.md").read_text(encoding="utf-8")
    assert readme.with_block(text, "stages", stages.markdown(times)) == text


def test_the_readme_shows_the_answers(root):
    ledger = tables.read(root / "results/reference/claims.csv", CLAIMS_TABLE)
    questions = readme.read_questions(root / readme.QUESTIONS)
    assert 1 <= len(questions) <= 8
    text = (root / "README.md").read_text(encoding="utf-8")
    assert readme.with_block(text, "answers", readme.answers(ledger, questions)) == text


def test_every_question_has_an_answer_to_each_verdict_that_its_claim_may_get(root):
    claims = yaml.safe_load((root / "claims.yaml").read_text(encoding="utf-8"))["claims"]
    for question in readme.read_questions(root / readme.QUESTIONS):
        claim = claims[question.claim]
        # Equivalence supports a claim that expects no effect.
        possible = set(VERDICTS) - ({"equivalent"} if claim["expected"] == "equal" else set())
        assert set(question.answers) == possible, question.claim
        assert question.protocol is None or question.protocol in claim["protocols"]


def claim(name: str, protocol: str, verdict: str, low: float = NONE) -> dict:
    """Return a row of claims.csv with the fields that the pages show."""
    row = {"claim": name, "protocol": protocol, "statement": f"It says {name}.", "verdict": verdict}
    return row | {"comparison": "lambda 1 to 0", "estimate": 0.12345, "low": low, "high": 1.0}


def test_the_ledger_shows_each_claim_by_the_protocol_that_decides():
    ledger = pd.DataFrame(
        [
            claim("a", "tuned", "supported", low=0.01),
            claim("a", "stated", "contradicted"),
            claim("b", "stated", "undetermined"),
        ]
    )
    assert readme.claims(ledger).splitlines() == [
        "2 claims: 1 supported, 1 undetermined.",
        "",
        "| the original says | we find [95 % interval] | verdict |",
        "| --- | --- | --- |",
        "| It says a. | lambda 1 to 0: 0.123 [0.01, 1] | **supported** |",
        "| It says b. | lambda 1 to 0: 0.123 | **undetermined** |",
    ]


def test_only_the_named_protocols_are_shown(summary):
    assert set(readme.of_protocols(summary, ["tuned"])["protocol"]) == {"tuned"}
    assert len(readme.of_protocols(summary, None)) == len(summary)
    with pytest.raises(UserError, match="has no protocol other, only stated, tuned"):
        readme.of_protocols(summary, ["other"])


def answered(**fields: object) -> list[str]:
    """Return the cells of the short answer to one question about a row of claims.csv."""
    row = claim("a", "tuned", "supported") | {"estimate": -0.0143, "low": -0.0174, "high": 0.0004}
    row |= {"comparison": "lambda 0.01 to lambda 0", "n": 10} | fields
    other = row | {"protocol": "stated", "n": 3, "verdict": "undetermined"}
    asked = readme.Question("Is it?", "a", "accuracy", "percentage points", {"supported": "Yes"})
    unit = {"ratio": "times", "tau": "Kendall's tau"}.get(row.get("unit"), asked.unit)
    text = readme.answers(pd.DataFrame([row, other]), [asked._replace(unit=unit)])
    lines = text.splitlines()
    assert len(lines) == 3
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    return lines[2].strip("| ").split(" | ")


def test_an_answer_is_by_the_deciding_protocol_in_plain_units():
    points = "accuracy −1.4 percentage points [−1.7, +0.0], at λ = 0.01"  # noqa: RUF001
    assert answered() == ["Is it?", "**Yes**", points, "10", "`tuned`"]
    ratio = {"estimate": 0.7032, "low": 0.691, "high": 1.2, "unit": "ratio"}
    assert answered(**ratio)[2] == "accuracy 0.70 times [0.69, 1.20], at λ = 0.01"
    tau = {"estimate": 0.731, "low": 0.64, "high": 0.822, "unit": "tau"}
    correlation = answered(**tau, comparison="correlation with test_accuracy")[2]
    assert correlation == "accuracy Kendall's τ +0.73 [+0.64, +0.82]"


def test_an_answer_without_an_interval_says_that_all_seeds_agree():
    alike = {"estimate": -1e-17, "low": NONE, "high": NONE}
    comparison = "lambda 0.001 to lambda 0, the worst of 4"
    shown = "accuracy +0.0 percentage points in every seed, at λ = 0.001, the worst of 4 λ"
    assert answered(**alike, comparison=comparison)[2] == shown
    assert "seed" not in answered(**alike, n=1)[2]


def test_a_question_that_cannot_be_answered_is_one_line(tmp_path):
    with pytest.raises(UserError, match="a is contradicted; add an answer for that verdict"):
        answered(verdict="contradicted")
    asked = readme.Question("?", "b", "x", "times", {})
    ledger = pd.DataFrame([claim("a", "tuned", "supported")])
    with pytest.raises(UserError, match="has no claim b; name one"):
        readme.answers(ledger, [asked])
    with pytest.raises(UserError, match="has no claim a under stated; name one"):
        readme.answers(ledger, [asked._replace(claim="a", protocol="stated")])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit": "metres"}, "a: unit 'metres' is none of percentage points, times"),
        ({"answers": {"maybe": "Yes"}}, "a: verdict 'maybe' is none of supported"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'; its first lines say"),
    ],
)
def test_a_mistake_in_the_questions_is_one_line(tmp_path, change, said):
    asked = readme.Question("?", "a", "x", "times", {"supported": "Yes"})._asdict()
    path = tmp_path / "questions.yaml"
    path.write_text(yaml.safe_dump([asked]), encoding="utf-8")
    assert readme.read_questions(path) == [readme.Question(**asked)]
    path.write_text(yaml.safe_dump([asked | change]), encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(said)):
        readme.read_questions(path)
