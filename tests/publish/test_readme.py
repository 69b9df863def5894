"""README and docs: generated blocks match the tables; links and commands work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from flatreg import config, penalty, statistics, tables
from flatreg.disk.files import read_json
from flatreg.errors import UserError
from flatreg.publish import answers, readme, stages
from flatreg.tables.evidence import CLAIMS_TABLE

# Of a person who reads aloud without haste.
WORDS_A_MINUTE = 150
RANGE = "0.84 times [0.79, 0.89]"
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
    rows += [row | {"dataset": "their_own", "n": 5} for row in rows[:2]]
    rows += [row | {"protocol": "tuned"} for row in rows[:1]]
    frame = pd.DataFrame(rows)[list(tables.SUMMARY_TABLE.columns)]
    return tables.check(frame, tables.SUMMARY_TABLE, "test")


def test_a_table_shows_every_cell_with_what_diverged(summary):
    accuracy, flatness, other, _ = readme.results(summary).split("\n\n**")
    assert accuracy.splitlines() == [
        "**`stated`: test accuracy of the kept parameters**",
        "",
        "| λ | Breast Cancer, 3 seeds | their own, 5 seeds |",
        "| --- | --- | --- |",
        "| 0 | 0.9123 ± 0.0123 | 0.9123 ± 0.0123 |",
        "| 0.1 | †3 |  |",
        "| 1 | 0.5000 †2 |  |",
    ]
    assert "| 1 | 2.43e+04 †2 |  |" in flatness
    assert other.startswith("`tuned`: test accuracy")


def test_only_what_stands_between_the_markers_changes(summary):
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = readme.with_block(text, "results", readme.results(summary))
    assert once.startswith(f"before\n{BEGIN}\n\n**`stated`: test accuracy")
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


def spoken(block: str) -> list[str]:
    """The words of the answers that are read aloud: all but where a number was found."""
    rows = [line.strip("| ").split(" | ") for line in block.splitlines()[2:]]
    return re.findall(r"[\w.%'²]+", " ".join(cell for row in rows for cell in row[:3]))


def test_the_readme_shows_the_answers_which_take_less_than_two_minutes_to_read_aloud(root):
    evidence = answers.read_evidence(root / "results/reference")
    told = answers.answer_all(answers.read_questions(root / readme.QUESTIONS), evidence)
    block = readme.short_answer(told)
    text = (root / "README.md").read_text(encoding="utf-8")
    assert readme.with_block(text, "answers", block) == text
    assert len(spoken(block)) <= 2 * WORDS_A_MINUTE


def longest(words: str | dict[str, str]) -> str:
    return words if isinstance(words, str) else max(words.values(), key=len)


def test_even_the_longest_answers_take_less_than_two_minutes(root):
    findings = [
        [
            answers.Finding(
                max(map(longest, part.answers.values()), key=len),
                f"{part.measured}: {RANGE}",
                "here",
            )
        ]
        for question in answers.read_questions(root / readme.QUESTIONS)
        for part in question.parts
    ]
    questions = [one.question for one in answers.read_questions(root / readme.QUESTIONS)]
    told = [answers.Answer("", found[0].words, found) for found in findings]
    words = spoken(readme.short_answer(told)) + " ".join(questions).split()
    assert len(words) <= 2 * WORDS_A_MINUTE


def test_an_answer_is_one_row_with_a_line_per_number():
    findings = [
        answers.Finding("up", "accuracy: 1", "here"),
        answers.Finding("so", "x: 2", "there"),
    ]
    block = readme.short_answer([answers.Answer("Is it?", "Up; so", findings)])
    assert block.splitlines()[2] == "| Is it? | **Up; so** | accuracy: 1<br>x: 2 | here<br>there |"


def claim(name: str, protocol: str, verdict: str, **fields: object) -> dict:
    """Return a row of claims.csv with the fields that the pages show."""
    row = {"claim": name, "protocol": protocol, "statement": f"It says {name}.", "verdict": verdict}
    row |= {"comparison": "lambda 1 to 0", "unit": "ratio", "test": "paired", "n": 3}
    row |= {"estimate": 0.12345, "low": 0.01, "high": 1.0, "family": "primary"}
    return row | {"registered": "yes", "settles": None} | fields


def test_the_ledger_shows_each_claim_in_its_family_by_the_protocol_that_decides():
    ledger = pd.DataFrame(
        [
            claim("a", "literal", "supported"),
            claim("a", "stated", "not testable", family="robustness"),
            claim("b", "literal", "reversed", registered="exploratory"),
            claim("c", "adam", "undetermined", family="asked", settles="23 seeds", low=NONE),
        ]
    )
    assert readme.claims(ledger).splitlines() == [
        "**Primary claims of the original** (1 supported, 1 reversed)",
        "",
        "| claim | tried under | we find [95 % interval] | verdict |",
        "| --- | --- | --- | --- |",
        "| It says a. | `literal` | lambda 1 to 0: 0.12 times [0.01, 1.00] | **supported** |",
        "| It says b. (exploratory) | `literal` | lambda 1 to 0: 0.12 times [0.01, 1.00] "
        "| **reversed** |",
        "",
        "**Asked by us: the original does not say it** (1 undetermined)",
        "",
        "| claim | tried under | we find [95 % interval] | verdict |",
        "| --- | --- | --- | --- |",
        "| It says c. | `adam` | lambda 1 to 0: 0.12 times in every seed "
        "| **undetermined**; to settle it: 23 seeds |",
    ]


def test_only_the_named_protocols_are_shown(summary):
    assert set(readme.of_protocols(summary, ["tuned"])["protocol"]) == {"tuned"}
    assert len(readme.of_protocols(summary, None)) == len(summary)
    with pytest.raises(UserError, match="has no protocol other, only stated, tuned"):
        readme.of_protocols(summary, ["other"])
