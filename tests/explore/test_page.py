"""The Explore page, built from the reference's tables and opened in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from flatreg import labels, tables
from flatreg.errors import UserError
from flatreg.explore import content as explore
from flatreg.explore import page
from flatreg.publish.answers import read_questions
from flatreg.tables import derived
from flatreg.tables.evidence import (
    CLAIM_RUNS_TABLE,
    CLAIMS_TABLE,
    ESTIMATES_TABLE,
    FLATNESS_TABLE,
    VERDICTS,
)

pytestmark = pytest.mark.slow
CLAIM, PROTOCOL = "cifar100_gain", "literal"
TABLES = ("metrics", "epochs", "estimates", "flatness")
LEDGER = ("claims", "claim_runs", "equal_loss")
QUESTIONS = Path(__file__).parents[2] / "docs/questions.yaml"
ROW = f"tr[data-claim={CLAIM}][data-protocol={PROTOCOL}]"
HOSTILE = '</script><b>"bold" & <!-- said</b>'


class Built(NamedTuple):
    """A page and the tables that it was built from."""

    path: Path
    metrics: pd.DataFrame
    epochs: pd.DataFrame
    claims: pd.DataFrame
    claim_runs: pd.DataFrame


def surface(folder: Path) -> Path:
    """A surface file whose plane is a bowl."""
    line, axis = np.linspace(-0.5, 1.5, 5), np.linspace(-1, 1, 3)
    bowl = 1 + axis[:, None] ** 2 + axis**2
    arrays = dict.fromkeys(("train_loss", "test_loss", "train_accuracy", "test_accuracy"), line**2)
    path = folder / "cifar100.npz"
    np.savez(
        path,
        alphas=line,
        coordinates=axis,
        plain_surface=bowl,
        penalized_surface=2 * bowl,
        diverged=np.array([], str),
        **arrays,
    )
    return path


def build(folder: Path, reference: Path, claims: Path | None) -> subprocess.CompletedProcess[str]:
    command: list[object] = [sys.executable, "-m", "flatreg.explore.page"]
    command += ["--config", reference / "config.json", "--surfaces", surface(folder)]
    for name in TABLES:
        command += [f"--{name}", reference / f"{name}.csv"]
    if claims is not None:
        command += ["--claims", claims, "--claim-runs", reference / "claim_runs.csv"]
        command += ["--equal-loss", reference / "equal_loss.csv", "--questions", QUESTIONS]
    command += ["--out", folder / "explore.html"]
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Built:
    """The page of the reference, one claim with text that would end a script and no difference."""
    folder, reference = tmp_path_factory.mktemp("page"), root / "results/reference"
    claims = tables.read(reference / "claims.csv", CLAIMS_TABLE)
    claims.loc[claims["claim"] == CLAIM, "said"] = HOSTILE
    claims.loc[claims["claim"] == CLAIM, "estimate"] = -3.7e-17
    claims.loc[claims["claim"] == CLAIM, "registered"] = "exploratory"
    tables.write(folder / "claims.csv", claims, CLAIMS_TABLE)
    done = build(folder, reference, folder / "claims.csv")
    assert (done.returncode, done.stderr) == (0, "")
    return Built(
        folder / "explore.html",
        tables.read(reference / "metrics.csv", tables.METRICS_TABLE),
        tables.read(reference / "epochs.csv", tables.EPOCHS_TABLE),
        claims,
        tables.read(reference / "claim_runs.csv", CLAIM_RUNS_TABLE),
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing; run `make chromium`"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


class Opened(NamedTuple):
    """The page in a window, its console messages, and its network requests."""

    page: Page
    said: list[str]
    asked: list[str]


def open_page(browser: Browser, built: Built, width: int = 1200, **context: Any) -> Opened:
    page = browser.new_page(viewport={"width": width, "height": 800}, **context)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(built.path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    return Opened(page, said, asked)


@pytest.fixture
def opened(browser: Browser, built: Built) -> Iterator[Opened]:
    opened = open_page(browser, built)
    yield opened
    assert opened.said == []
    assert opened.asked == [built.path.as_uri()]
    opened.page.close()


def downloaded(page: Page, button: str) -> pd.DataFrame:
    """The CSV that a button saves."""
    with page.expect_download() as waiting:
        page.click(button)
    return pd.read_csv(waiting.value.path(), dtype={"lambda": str, "key": str})


def keys_behind(built: Built) -> list[str]:
    behind = built.claim_runs
    chosen = (behind["claim"] == CLAIM) & (behind["protocol"] == PROTOCOL)
    return behind.loc[chosen, "key"].tolist()


def test_it_is_small(built: Built) -> None:
    assert built.path.stat().st_size < 5e6


def test_the_ledger_shows_every_claim_and_counts_the_verdicts(opened: Opened, built: Built) -> None:
    deciding = built.claims.drop_duplicates("claim")
    assert opened.page.locator("tr.decides").count() == len(deciding)
    assert opened.page.locator("tr.carries").count() == len(built.claims) - len(deciding)
    tally = opened.page.inner_text("#tally")
    for verdict, count in deciding["verdict"].value_counts().items():
        assert re.search(rf"\b{count} \S {verdict}", tally)
    verdict = deciding["verdict"].iloc[0]
    opened.page.select_option("#verdict", verdict)
    alike = int((deciding["verdict"] == verdict).sum())
    assert opened.page.locator("tr.decides").count() == alike
    assert opened.page.inner_text("#found") == f"{alike} claims shown"
    saved = downloaded(opened.page, "#claims-csv")
    assert set(saved["verdict"][~saved["claim"].duplicated()]) == {verdict}


def test_every_verdict_can_be_filtered_by(opened: Opened) -> None:
    options = opened.page.locator("#verdict option").all_inner_texts()
    assert options == ["all", *VERDICTS]


def test_claims_stand_in_their_families(opened: Opened, built: Built) -> None:
    deciding = built.claims.drop_duplicates("claim")
    families = [name for name in labels.FAMILIES if name in set(deciding["family"])]
    titles = opened.page.locator("tbody.family th").all_inner_texts()
    assert titles == [labels.FAMILIES[name] for name in families]
    opened.page.select_option("#family", families[0])
    primary = int((deciding["family"] == families[0]).sum())
    assert opened.page.locator("tr.decides").count() == primary
    assert opened.page.locator("tbody.family").count() == 1


def test_what_was_written_after_looking_is_marked(opened: Opened, built: Built) -> None:
    deciding = built.claims.drop_duplicates("claim")
    exploratory = set(deciding.loc[deciding["registered"] == "exploratory", "claim"])
    assert CLAIM in exploratory
    marked = opened.page.locator("tr.decides:has(.exploratory)")
    names = marked.evaluate_all("rows => rows.map(row => row.dataset.claim)")
    assert set(names) == exploratory
    opened.page.select_option("#registered", "exploratory")
    assert opened.page.locator("tr.decides").count() == len(exploratory)


def test_it_begins_with_the_short_answer(opened: Opened, built: Built) -> None:
    questions = read_questions(QUESTIONS)
    rows = opened.page.locator(".answers tbody tr")
    assert rows.locator("th").all_inner_texts() == [one.question for one in questions]
    first = built.claims[built.claims["claim"] == CLAIM].iloc[0]
    words = questions[0].parts[0].answers[first["verdict"]]
    shown = rows.first.locator("strong").inner_text()
    assert shown.lower().startswith(words.lower())
    headings = opened.page.locator("h2").all_inner_texts()
    assert headings[:2] == ["The short answer", "Accuracy against flatness"]


def test_every_run_that_ended_is_in_the_figure_of_accuracy_against_flatness(
    opened: Opened, built: Built
) -> None:
    protocol = opened.page.input_value("#overview-protocol")
    runs = built.metrics[built.metrics["protocol"] == protocol].dropna(subset=["last_tr_h2"])
    runs = runs[(runs["last_tr_h2"] > 0) & (runs["status"] != tables.DIVERGED)]
    assert opened.page.locator(".clouds figure").count() == runs["dataset"].nunique()
    marks = opened.page.locator(".clouds g.mark-symbol.role-mark path")
    assert marks.count() == len(runs)


def test_an_estimate_that_is_rounding_is_shown_as_zero(opened: Opened) -> None:
    shown = opened.page.locator(f'tr[data-claim="{CLAIM}"] td.number')
    assert {text.partition(" ")[0] for text in shown.all_inner_texts()} == {"0"}


def test_a_click_on_a_claim_shows_its_runs(opened: Opened, built: Built) -> None:
    opened.page.click(f"{ROW} button")
    opened.page.wait_for_selector(".detail svg")
    detail = opened.page.locator(".detail")
    keys = detail.locator(".runs tbody tr td:last-child").all_inner_texts()
    assert keys == keys_behind(built)
    # One point per run; the strokes of the means are another kind of mark.
    assert detail.locator("g.mark-symbol.role-mark path").count() == len(keys)
    saved = downloaded(opened.page, ".behind > button")
    expected = built.metrics.set_index("key").loc[keys, "last_test_accuracy"]
    np.testing.assert_allclose(saved["last_test_accuracy"], expected, rtol=1e-5)
    opened.page.click(f"{ROW} button")
    assert detail.count() == 0


def test_words_of_a_claim_are_shown_as_they_are(opened: Opened) -> None:
    opened.page.click(f"{ROW} button")
    assert opened.page.locator(".facts dd").first.inner_text() == HOSTILE
    assert opened.page.locator(".facts b").count() == 0


def test_a_claim_opens_by_keyboard(opened: Opened, built: Built) -> None:
    opened.page.focus("#claims-csv")
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.closest('tr').dataset.claim") == CLAIM
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert opened.page.evaluate(outline) != "none"
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_selector(".detail svg")
    assert opened.page.locator(".runs tbody tr").count() == len(keys_behind(built))
    opened.page.keyboard.press("Space")
    assert opened.page.locator(".detail").count() == 0


def test_what_is_chosen_is_shown(opened: Opened, built: Built) -> None:
    page = opened.page
    page.select_option("#protocol", "stated")
    page.select_option("#dataset", "breast_cancer")
    page.select_option("#metric", "test_loss")
    page.select_option("#curve", "train_loss")
    page.select_option("#measure", "relative_flatness")
    chosen = "protocol == 'stated' and dataset == 'breast_cancer'"
    runs = built.metrics.query(chosen)
    page.wait_for_function(f"document.querySelectorAll('#dots path').length >= {len(runs)}")
    assert page.inner_text("#dots-figure .count") == f"{len(runs)} runs."
    saved = downloaded(page, "#dots-figure > button")
    merged = saved.merge(runs, on="key", suffixes=("_saved", ""))
    assert len(merged) == len(runs)
    np.testing.assert_allclose(merged["test_loss_saved"], merged["test_loss"], rtol=1e-5)
    curves = downloaded(page, "#curves-figure > button")
    expected = built.epochs.query(chosen).dropna(subset=["train_loss"])
    np.testing.assert_allclose(curves["train_loss"], expected["train_loss"], rtol=1e-4)
    assert "relative_flatness" in downloaded(page, "#scatter-figure > button").columns
    assert page.inner_text("#plane-figure .count") == "only for every_step"


def test_the_surfaces_are_those_of_the_file(opened: Opened) -> None:
    plane = downloaded(opened.page, "#plane-figure > button")
    assert len(plane) == 2 * 9
    bowl = 1 + plane["x"] ** 2 + plane["y"] ** 2
    np.testing.assert_allclose(plane["z"], bowl * np.where(plane["lambda"] == "0", 1, 2))
    line = downloaded(opened.page, "#line-figure > button")
    np.testing.assert_allclose(line["y"], line["x"] ** 2, atol=1e-9)


def test_dark_and_light(browser: Browser, built: Built) -> None:
    color = "getComputedStyle(document.body).backgroundColor"
    light, dark = (
        open_page(browser, built, color_scheme=scheme).page for scheme in ("light", "dark")
    )
    assert light.evaluate(color) != dark.evaluate(color)
    light.click("#theme")
    assert light.evaluate(color) == dark.evaluate(color)
    assert light.inner_text("#theme") == "Light page"


def test_a_phone_scrolls_down_only(browser: Browser, built: Built) -> None:
    page = open_page(browser, built, width=360).page
    page.click(f"{ROW} button")
    page.wait_for_selector(".detail svg")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_print_has_the_ledger_and_no_controls(browser: Browser, built: Built) -> None:
    page = open_page(browser, built).page
    page.emulate_media(media="print")
    claims = built.claims["claim"].nunique()
    visible = page.locator("tr.decides .open").evaluate_all(
        "found => found.filter(e => e.checkVisibility()).length"
    )
    assert visible == claims
    assert not page.locator("#verdict").is_visible()
    assert not page.locator("#theme").is_visible()


def test_a_study_without_a_ledger_has_none(
    browser: Browser, built: Built, root: Path, tmp_path: Path
) -> None:
    done = build(tmp_path, root / "results/reference", None)
    assert (done.returncode, done.stderr) == (0, "")
    opened = open_page(browser, built._replace(path=tmp_path / "explore.html"))
    assert opened.said == []
    assert opened.page.locator("#ledger").count() == 0
    assert opened.page.inner_text("#dots-figure .count").endswith("runs.")


def test_runs_of_another_study_are_refused(root: Path) -> None:
    reference = root / "results/reference"
    metrics = tables.read(reference / "metrics.csv", tables.METRICS_TABLE)
    behind = tables.read(reference / "claim_runs.csv", CLAIM_RUNS_TABLE)
    estimates = tables.read(reference / "estimates.csv", ESTIMATES_TABLE)
    runs = derived.of_runs(metrics, estimates)
    behind.loc[0, "key"] = "unknown"
    claims = tables.read(reference / "claims.csv", CLAIMS_TABLE)
    epochs = tables.read(reference / "epochs.csv", tables.EPOCHS_TABLE)
    flatness = tables.read(reference / "flatness.csv", FLATNESS_TABLE)
    study = json.loads((reference / "config.json").read_text())
    with pytest.raises(UserError, match=r"claim_runs\.csv: run unknown is not in metrics\.csv"):
        explore.gather(study, runs, epochs, (claims, behind), flatness, {}, [])


def test_half_a_ledger_is_a_mistake(root: Path, tmp_path: Path) -> None:
    reference = root / "results/reference"
    command = [
        sys.executable,
        "-m",
        "flatreg.explore.page",
        "--config",
        str(reference / "config.json"),
    ]
    for name in (*TABLES, "claims"):
        command += [f"--{name}", str(reference / f"{name}.csv")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "explore.html")], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "error: --claims and --claim-runs need each other; give both or neither\n"
    assert not list(tmp_path.iterdir())


def test_right_after_a_clone_the_reference_is_shown(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "results/reference", tmp_path / "results/reference")
    done = subprocess.run(
        [sys.executable, "-m", "flatreg.explore"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "explore.html\n", "")
    reference = root / "results/reference"
    files = page.Files(
        config=reference / "config.json",
        **{name: reference / f"{name}.csv" for name in (*TABLES, *LEDGER)},
        questions=QUESTIONS,
        surfaces=[],
    )
    assert (tmp_path / "explore.html").read_text(encoding="utf-8") == page.page(files)
