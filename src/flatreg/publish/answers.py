"""The short answer: plain questions, answered in words that the numbers choose.

The README, the Explore page and the paper show the same answers. The questions are a YAML file
(`questions` of the config), whose first lines describe its fields. The words of an answer belong to
a verdict of the ledger, or to an outcome of the comparison at equal training loss.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from flatreg.disk.yaml_files import read_yaml
from flatreg.errors import UserError
from flatreg.tables.evidence import EXPLORATORY, NOT_TESTABLE, TAILS, VERDICTS
from flatreg.tables.registry import read_named
from flatreg.tables.results import CELL

# The table of the comparison at equal training loss; a study need not have it.
EQUAL_LOSS = "equal_loss"
# The test of claims on times, which the bench measures.
BENCH = "bench"
# What the comparison at equal training loss can show; see `outcome`.
OUTCOMES = ("most", "some", "none shown", "sharper", "not flatter", "not measured")
# The ends of intervals that decide between them: of both ratios of tr(H^2) to plain training's.
ENDS = ("last_tr_h2_ratio_high", "tr_h2_ratio_low", "tr_h2_ratio_high")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NO_QUESTIONS = "name a file; for a study without a short answer write `questions: null` in a config"


class Part(NamedTuple):
    """One number of an answer, and the words that it chooses.

    Attributes:
        measured: name of the quantity that the number measures.
        answers: the answer in words, by verdict; at equal loss, by one of `OUTCOMES`. Words for
            an effect where the claim expects none may be given by its side, above and below.
        claim: name of the claim in the ledger that has the number.
        protocol: the protocol that it was tried under; if None, the deciding one.
        equal_loss: protocol, data set and lambda of a row of equal_loss.csv, instead of a claim.
    """

    measured: str
    answers: dict[str, str | dict[str, str]]
    claim: str | None = None
    protocol: str | None = None
    equal_loss: dict[str, str] | None = None

    @property
    def cell(self) -> tuple[str, str, str]:
        """Protocol, data set and lambda of a comparison at equal loss."""
        protocol, dataset, lam = ((self.equal_loss or {})[name] for name in CELL)
        return protocol, dataset, lam


class Question(NamedTuple):
    """A question as a reader would ask it, and the parts of its answer."""

    question: str
    parts: list[Part]


class Evidence(NamedTuple):
    """The tables that answers are taken from; the last is None where the study has none."""

    claims: pd.DataFrame
    claim_runs: pd.DataFrame
    metrics: pd.DataFrame
    equal_loss: pd.DataFrame | None = None


class Finding(NamedTuple):
    """What one part comes to: its words, its number with interval, and where it was found."""

    words: str
    number: str
    where: str


class Answer(NamedTuple):
    """A question with its answer in one sentence, and the findings behind it."""

    question: str
    answer: str
    findings: list[Finding]

    @property
    def numbers(self) -> list[str]:
        """The numbers, one for each finding."""
        return [finding.number for finding in self.findings]

    @property
    def places(self) -> list[str]:
        """Where they were found; a place that several share is told once."""
        return list(dict.fromkeys(finding.where for finding in self.findings))


# ── Questions ────────────────────────────────────────────────────────────────


def read_questions(path: Path) -> list[Question]:
    """The questions of a file, in order.

    Raises:
        UserError: the file is missing, a field is missing or unknown, or an answer is to what is
            neither a verdict nor an outcome.
    """
    content = read_yaml(path, NO_QUESTIONS)
    if not isinstance(content, list):
        raise UserError(f"{path}: a list of questions is needed; its first lines describe them")
    return [_question(entry, path) for entry in content]


def _question(entry: Any, path: Path) -> Question:
    try:
        parts = [Part(**part) for part in entry["parts"]]
        question = Question(**(entry | {"parts": parts}))
    except (TypeError, KeyError) as error:
        raise UserError(f"{path}: {error}; its first lines say what a question has") from error
    for part in parts:
        _check(part, f"{path}: {question.question}")
    return question


def _check(part: Part, where: str) -> None:
    """Check that a part has one source of numbers, and answers to what this can come to."""
    if (part.claim is None) == (part.equal_loss is None):
        raise UserError(f"{where}: give a part either a claim or equal_loss")
    if part.equal_loss is not None and set(part.equal_loss) != set(CELL):
        raise UserError(f"{where}: equal_loss needs {', '.join(CELL)}, and no more")
    known = VERDICTS if part.claim is not None else OUTCOMES
    for name in part.answers:
        if name not in known:
            raise UserError(f"{where}: {name!r} is none of {', '.join(known)}")
        words = part.answers[name]
        if not isinstance(words, str) and set(words) != set(TAILS):
            raise UserError(f"{where}: {name}: give words, or words for {' and '.join(TAILS)}")


def check(
    path: Path,
    questions: list[Question],
    tried: dict[str, list[str]],
    cells: list[tuple[str, str, str]],
) -> None:
    """Check questions against a study, before it has any evidence.

    Args:
        path: of the questions.
        questions: of `read_questions`.
        tried: the protocols of each claim of the ledger.
        cells: protocol, data set and lambda of each cell of the study.

    Raises:
        UserError: a question is about a claim or a cell that the study lacks.
    """
    for part in (part for question in questions for part in question.parts):
        if part.equal_loss is not None:
            known = part.cell in cells
            lacks = f"the study has no cell {' '.join(part.cell)}"
        else:
            known = part.protocol in [None, *tried.get(str(part.claim), [])]
            known = known and part.claim in tried
            under = "" if part.protocol is None else f" under {part.protocol}"
            lacks = f"the ledger has no claim {part.claim}{under}"
        if not known:
            raise UserError(
                f"{path}: {lacks}; correct it, or write `questions: null` in a config file"
            )


# ── Evidence ─────────────────────────────────────────────────────────────────


def read_evidence(folder: Path) -> Evidence:
    """The tables of a folder that answers are taken from.

    Raises:
        UserError: a table is missing, or was changed by hand.
    """
    names = ["claims", "claim_runs", "metrics"]
    if (folder / f"{EQUAL_LOSS}.csv").exists():
        names.append(EQUAL_LOSS)
    return Evidence(*(read_named(folder / f"{name}.csv", name) for name in names))


# ── Answers ──────────────────────────────────────────────────────────────────


def answer_all(questions: list[Question], evidence: Evidence) -> list[Answer]:
    """Every question with its answer.

    Raises:
        UserError: the study lacks what a question is about, or a verdict has no words.
    """
    return [_answer(question, evidence) for question in questions]


def _answer(question: Question, evidence: Evidence) -> Answer:
    findings = [_finding(part, evidence) for part in question.parts]
    words = "; ".join(finding.words for finding in findings)
    return Answer(question.question, words[:1].upper() + words[1:], findings)


def _finding(part: Part, evidence: Evidence) -> Finding:
    return _of_claim(part, evidence) if part.claim is not None else _at_equal_loss(part, evidence)


def _of_claim(part: Part, evidence: Evidence) -> Finding:
    row = _claim_row(part, evidence.claims)
    words = _words(part, row["verdict"], str(part.claim), row["tail"])
    number = f"{part.measured}: {number_of(row)}"
    return Finding(words, number, _place(row, evidence))


def _claim_row(part: Part, claims: pd.DataFrame) -> pd.Series:
    """The row of a part's claim; the first row of a claim has the deciding protocol."""
    rows = claims[claims["claim"] == part.claim]
    if part.protocol is not None:
        rows = rows[rows["protocol"] == part.protocol]
    if rows.empty:
        under = "" if part.protocol is None else f" under {part.protocol}"
        raise UserError(
            f"questions: the ledger has no claim {part.claim}{under}; name one of its claims"
        )
    return rows.iloc[0]


def _words(part: Part, outcome: str, where: str, side: str | None = None) -> str:
    if outcome not in part.answers:
        raise UserError(f"questions: {where} is {outcome}; add an answer for that")
    words = part.answers[outcome]
    return words if isinstance(words, str) else words[str(side)]


# ── Numbers ──────────────────────────────────────────────────────────────────


def number_of(row: pd.Series) -> str:
    """The estimate of a claim with its interval, or words where there is none.

    Args:
        row: of CLAIMS_TABLE.
    """
    if row["verdict"] == NOT_TESTABLE:
        return "cannot be measured here"
    if row["n"] == 0:
        return "no run has a value"
    if not np.isfinite(row["estimate"]):
        return "not computed"
    written, unit = _format(row)
    estimate = f"{written(row['estimate'])}{unit}"
    if np.isfinite(row["low"]):
        return f"{estimate} [{written(row['low'])}, {written(row['high'])}]"
    return f"{estimate} {'in every seed' if row['n'] > 1 else 'in the only run'}"


def _format(row: pd.Series) -> tuple[Callable[[float], str], str]:
    """How numbers of a claim are written, and what follows an estimate."""
    match row["unit"]:
        case "share of examples" if row["test"] == "mean":
            return (lambda value: f"{100 * value:.1f}"), " %"
        case "share of examples":
            return (lambda value: signed(100 * value, ".1f")), " points"
        case "ratio":
            return ratio, " times"
        case "Kendall's tau":
            return (lambda value: signed(value, ".2f")), ""
        case "Spearman's rho":
            return (lambda value: signed(value, ".2f")), ""
    return (lambda value: minus(f"{value:.3g}")), ""


def ratio(value: float) -> str:
    """A factor, to as many digits as tell it from 1 or from 0."""
    return f"{value:.2f}" if 0.1 <= value < 100 else two_digits(value)


def two_digits(value: float) -> str:
    """A number above 0 to two significant digits; a large or small one with a power of ten."""
    if 1e-3 <= value < 1e4 or value == 0:
        return f"{float(f'{value:.2g}'):.10g}"
    factor, exponent = f"{value:.1e}".split("e")
    power = str(int(exponent)).translate(RAISED)
    return f"{float(factor):g}·10{power}"


def signed(value: float, digits: str) -> str:
    """A number with its sign; what rounding leaves nothing of has a plus."""
    return minus(format(value, f"+z{digits}"))


def minus(text: str) -> str:
    """A number with a minus sign instead of a hyphen."""
    return text.replace("-", "\N{MINUS SIGN}")


# ── Where a number was found ─────────────────────────────────────────────────


def _place(row: pd.Series, evidence: Evidence) -> str:
    """Lambda, strength, protocol and number of seeds of a claim's runs."""
    if row["test"] == BENCH:
        return f"side by side, {row['n']} rounds{to_settle(row)}"
    treated = _treated(row, evidence)
    lam = _lambda(row, treated)
    strength = _strength(treated, lam)
    runs = _runs_in_words(lam, strength, row["protocol"], row["n"], row["diverged"])
    mark = ", exploratory" if row["registered"] == EXPLORATORY else ""
    return f"{runs}{mark}{to_settle(row)}"


def to_settle(row: pd.Series) -> str:
    """What would settle an undetermined claim; empty for the others."""
    return "" if pd.isna(row["settles"]) else f"; to settle it: {row['settles']}"


def _treated(row: pd.Series, evidence: Evidence) -> pd.DataFrame:
    """The runs of metrics.csv on the treated side of a claim."""
    behind = evidence.claim_runs
    own = (behind["claim"] == row["claim"]) & (behind["protocol"] == row["protocol"])
    keys = behind.loc[own & (behind["side"] != "baseline"), "key"]
    return evidence.metrics[evidence.metrics["key"].isin(keys)]


def _lambda(row: pd.Series, treated: pd.DataFrame) -> str | None:
    """The lambda that a claim is about: of several, the one that its estimate is of, or None."""
    lambdas = list(dict.fromkeys(treated["lambda"]))
    if len(lambdas) == 1:
        return str(lambdas[0])
    named = re.match(r"lambda ([^\s,]+) to ", row["comparison"])
    return named[1] if named else None


def _strength(treated: pd.DataFrame, lam: str | None) -> str | None:
    """The median over runs of |w grad tr(H^2)| / |grad L| in training, in words."""
    if lam is None or lam == "0":
        return None
    return strength_in_words(treated.loc[treated["lambda"] == lam, "strength"])


def strength_in_words(strengths: pd.Series) -> str | None:
    """The median strength of runs to two digits; None if no run has one."""
    known = strengths.dropna().to_numpy(float)
    if not known.size:
        return None
    median = float(np.median(known))
    return (
        f"strength {two_digits(median)}"
        if np.isfinite(median)
        else "strength too large for a number"
    )


def _runs_in_words(
    lam: str | None, strength: str | None, protocol: str, n: int, diverged: int
) -> str:
    """Lambda, strength, protocol and number of some runs; without what they have none of."""
    parts = [
        "all λ" if lam is None else f"λ = {lam}",
        strength,
        f"`{protocol}`",
        f"{n} seeds" if n != 1 else "1 seed",
        f"{diverged} diverged" if diverged else None,
    ]
    return ", ".join(part for part in parts if part)


# ── At equal training loss ───────────────────────────────────────────────────


def _at_equal_loss(part: Part, evidence: Evidence) -> Finding:
    rows = evidence.equal_loss
    rows = None if rows is None else of_cell(rows, part.cell)
    if rows is None or rows.empty:
        named = " ".join(part.cell)
        raise UserError(f"questions: equal_loss.csv has no row {named}; name one of its cells")
    row = rows.iloc[0]
    words = _words(part, outcome(row), f"equal_loss {' '.join(part.cell)}")
    numbers = (
        f"{_times(row, 'tr_h2_ratio')} at equal loss, {_times(row, 'last_tr_h2_ratio')} at the end"
    )
    runs = of_cell(evidence.metrics, part.cell)
    strength = strength_in_words(runs["strength"])
    where = _runs_in_words(row["lambda"], strength, row["protocol"], row["n"], 0)
    return Finding(words, f"{part.measured}: {numbers}", where)


def of_cell(rows: pd.DataFrame, cell: tuple[str, str, str]) -> pd.DataFrame:
    """The rows of a table that are of one cell."""
    same = [rows[name] == value for name, value in zip(CELL, cell, strict=True)]
    return rows[np.logical_and.reduce(same)]


def _times(row: pd.Series, name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if not np.isfinite(value):
        return "not measured"
    interval = f" [{ratio(low)}, {ratio(high)}]" if np.isfinite(low) else ""
    return f"{ratio(value)} times{interval}"


def outcome(row: pd.Series) -> str:
    """How much of a flattening is lower fit, one of `OUTCOMES`.

    Args:
        row: of EQUAL_LOSS_TABLE, whose ratios are of tr(H^2) to that at lambda 0: after the last
            epoch, and where both trainings have the same training loss.
    """
    last, low, high = (row[name] for name in ENDS)
    if not np.all(np.isfinite([last, low, high])):
        return "not measured"
    if last >= 1:
        return "not flatter"
    if low > 1:
        return "sharper"
    if high >= 1:
        return "none shown"
    return "most" if row["remaining"] < 0.5 else "some"
