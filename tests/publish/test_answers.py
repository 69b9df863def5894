"""The short answer: its words follow the numbers, and numbers that say the opposite turn them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from flatreg.errors import UserError
from flatreg.publish import answers
from flatreg.publish.answers import Answer, Evidence, Part, Question
from flatreg.tables.evidence import VERDICTS

NONE = float("nan")
# Words that differ by verdict, as those of a true question do.
WORDS = {verdict: f"it is {verdict}" for verdict in VERDICTS}
AT_EQUAL_LOSS = {outcome: f"it is {outcome}" for outcome in answers.OUTCOMES}
CELL = {"protocol": "every_step", "dataset": "cifar100", "lambda": "1"}


def claim_row(**fields: Any) -> dict[str, Any]:
    """A row of claims.csv with the fields that answers read."""
    row = {"claim": "gain", "protocol": "literal", "verdict": "supported", "test": "paired"}
    row |= {"unit": "share of examples", "comparison": "lambda 1 to lambda 0"}
    row |= {"estimate": -0.0143, "low": -0.0174, "high": 0.0004, "n": 10, "diverged": 0}
    row |= {"registered": "yes", "tail": "below", "settles": None}
    return row | fields


def run(number: int, **fields: Any) -> dict[str, Any]:
    """A row of metrics.csv with the fields that answers read."""
    row = {**CELL, "protocol": "literal", "seed": number, "key": f"key {number}"}
    return row | {"strength": 0.012} | fields


def evidence(
    *rows: dict[str, Any],
    runs: list[dict[str, Any]] | None = None,
    equal_loss: dict[str, Any] | None = None,
) -> Evidence:
    """Claims, all with the same runs behind them."""
    runs = [run(0), run(1), run(2, **{"lambda": "0", "strength": NONE})] if runs is None else runs
    behind = [
        {"claim": row["claim"], "protocol": row["protocol"], "key": one["key"]}
        | {"side": "baseline" if one["lambda"] == "0" else "treated"}
        for row in rows
        for one in runs
    ]
    columns = ["claim", "protocol", "side", "key"]
    return Evidence(
        pd.DataFrame(rows, columns=list(claim_row())),
        pd.DataFrame(behind, columns=columns),
        pd.DataFrame(runs, columns=list(run(0))),
        None if equal_loss is None else pd.DataFrame([equal_loss]),
    )


def asked(**fields: Any) -> list[Question]:
    part = {"measured": "accuracy", "answers": WORDS, "claim": "gain"} | fields
    return [Question("Is it?", [Part(**part)])]


def answered(**fields: Any) -> Answer:
    """The answer to one question about a claim."""
    (answer,) = answers.answer_all(asked(), evidence(claim_row(**fields)))
    return answer


@pytest.mark.parametrize("verdict", VERDICTS)
def test_words_are_chosen_by_the_verdict(verdict: str) -> None:
    assert answered(verdict=verdict).answer == f"It is {verdict}"


def test_where_no_effect_is_claimed_the_words_are_of_its_side() -> None:
    words = WORDS | {"reversed": {"above": "it is better", "below": "it is worse"}}
    for side, said in {"above": "It is better", "below": "It is worse"}.items():
        row = claim_row(verdict="reversed", tail=side)
        (answer,) = answers.answer_all(asked(answers=words), evidence(row))
        assert answer.answer == said


def test_an_undetermined_claim_says_what_would_settle_it() -> None:
    told = answered(verdict="undetermined", settles="23 seeds").places
    assert told == ["λ = 1, strength 0.012, `literal`, 10 seeds; to settle it: 23 seeds"]


def test_a_number_has_its_interval_and_is_in_plain_units() -> None:
    points = ["accuracy: −1.4 points [−1.7, +0.0]"]  # noqa: RUF001
    assert answered().numbers == points
    ratio = {"unit": "ratio", "estimate": 0.7032, "low": 0.691, "high": 1.2}
    assert answered(**ratio).numbers == ["accuracy: 0.70 times [0.69, 1.20]"]
    collapse = {"unit": "ratio", "estimate": 3.21e-5, "low": 1e-5, "high": 140.0}
    assert answered(**collapse).numbers == ["accuracy: 3.2·10⁻⁵ times [1·10⁻⁵, 140]"]
    tau = {"unit": "Kendall's tau", "estimate": 0.731, "low": -0.64, "high": 0.822}
    assert answered(**tau).numbers == ["accuracy: +0.73 [−0.64, +0.82]"]  # noqa: RUF001
    mean = {"test": "mean", "estimate": 0.2776, "low": 0.277, "high": 0.2789}
    assert answered(**mean).numbers == ["accuracy: 27.8 % [27.7, 27.9]"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"estimate": NONE, "low": NONE, "high": NONE}, "not computed"),
        ({"estimate": np.inf, "low": NONE, "high": NONE}, "not computed"),
        ({"estimate": NONE, "n": 0}, "no run has a value"),
        ({"low": NONE, "high": NONE}, "−1.4 points in every seed"),  # noqa: RUF001
        ({"low": NONE, "high": NONE, "n": 1}, "−1.4 points in the only run"),  # noqa: RUF001
        ({"verdict": "not testable"}, "cannot be measured here"),
    ],
)
def test_a_number_that_is_not_there_has_words_of_its_own(fields: dict[str, Any], said: str) -> None:
    assert answered(**fields).numbers == [f"accuracy: {said}"]


def test_rounding_leaves_no_minus_zero() -> None:
    assert answered(estimate=-1e-17, low=NONE, high=NONE).numbers[0].startswith("accuracy: +0.0 ")


def test_it_says_where_a_number_was_found() -> None:
    assert answered().places == ["λ = 1, strength 0.012, `literal`, 10 seeds"]
    several = {"diverged": 3, "n": 1}
    assert answered(**several).places == ["λ = 1, strength 0.012, `literal`, 1 seed, 3 diverged"]
    assert answered(registered="exploratory").places[0].endswith("10 seeds, exploratory")
    assert answered(test="bench", n=15).places == ["side by side, 15 rounds"]


def test_of_several_lambdas_the_one_that_is_shown_is_named() -> None:
    runs = [
        run(n, **{"lambda": lam, "strength": s})
        for n, (lam, s) in enumerate([("1", 9), ("10", 90)])
    ]
    row = claim_row(comparison="lambda 10 to lambda 0, the worst of 2")
    (answer,) = answers.answer_all(asked(), evidence(row, runs=runs))
    assert answer.places == ["λ = 10, strength 90, `literal`, 10 seeds"]
    row = claim_row(comparison="correlation with test_accuracy")
    (answer,) = answers.answer_all(asked(), evidence(row, runs=runs))
    assert answer.places == ["all λ, `literal`, 10 seeds"]


@pytest.mark.parametrize(
    ("strength", "said"),
    [(NONE, ""), (np.inf, "strength too large for a number, "), (12345.0, "strength 1.2·10⁴, ")],
)
def test_a_strength_that_is_missing_or_overflows(strength: float, said: str) -> None:
    (answer,) = answers.answer_all(asked(), evidence(claim_row(), runs=[run(0, strength=strength)]))
    assert answer.places == [f"λ = 1, {said}`literal`, 10 seeds"]


def test_a_claim_without_any_run_is_told() -> None:
    row = claim_row(n=0, estimate=NONE, low=NONE, high=NONE, verdict="undetermined")
    (answer,) = answers.answer_all(asked(), evidence(row, runs=[]))
    assert answer.findings == [
        ("it is undetermined", "accuracy: no run has a value", "λ = 1, `literal`, 0 seeds")
    ]


def test_the_first_row_of_a_claim_decides_unless_a_protocol_is_named() -> None:
    both = evidence(claim_row(), claim_row(protocol="stated", verdict="reversed", n=3))
    (first,) = answers.answer_all(asked(), both)
    (second,) = answers.answer_all(asked(protocol="stated"), both)
    assert (first.answer, second.answer) == ("It is supported", "It is reversed")


def test_parts_are_one_sentence_and_share_a_place() -> None:
    parts = [
        Part("tr(H²)", {"supported": "it is flatter"}, "flat"),
        Part("accuracy", {"reversed": "less accurate"}, "gain"),
    ]
    both = evidence(claim_row(claim="flat"), claim_row(verdict="reversed"))
    (answer,) = answers.answer_all([Question("Is it?", parts)], both)
    assert answer.answer == "It is flatter; less accurate"
    assert len(answer.numbers) == 2
    assert len(answer.places) == 1


# ── At equal training loss ───────────────────────────────────────────────────


def at_equal_loss(equal: list[float], last: list[float], remaining: float) -> dict[str, Any]:
    """A row of equal_loss.csv: each ratio with its ends, and what is left of the log ratio."""
    ends = ("", "_low", "_high")
    return {
        **CELL,
        "n": 10,
        **{f"tr_h2_ratio{end}": value for end, value in zip(ends, equal, strict=True)},
        **{f"last_tr_h2_ratio{end}": value for end, value in zip(ends, last, strict=True)},
        "remaining": remaining,
    }


@pytest.mark.parametrize(
    ("equal", "last", "remaining", "said"),
    [
        ([0.92, 0.90, 0.94], [0.70, 0.68, 0.72], 0.23, "most"),
        ([0.75, 0.73, 0.77], [0.70, 0.68, 0.72], 0.81, "some"),
        ([0.98, 0.95, 1.01], [0.70, 0.68, 0.72], 0.06, "none shown"),
        ([1.20, 1.10, 1.30], [0.70, 0.68, 0.72], -0.51, "sharper"),
        ([0.92, 0.90, 0.94], [0.97, 0.90, 1.02], 2.7, "not flatter"),
        ([0.92, 0.90, 0.94], [1.30, 1.20, 1.40], -0.3, "not flatter"),
        ([NONE, NONE, NONE], [0.70, 0.68, 0.72], NONE, "not measured"),
        ([0.92, NONE, NONE], [0.70, 0.68, 0.72], 0.2, "not measured"),
    ],
)
def test_how_much_of_a_flattening_is_lower_fit(
    equal: list[float], last: list[float], remaining: float, said: str
) -> None:
    row = at_equal_loss(equal, last, remaining)
    part = {"claim": None, "equal_loss": CELL, "answers": AT_EQUAL_LOSS}
    shown = evidence(runs=[run(0, protocol="every_step")], equal_loss=row)
    (answer,) = answers.answer_all(asked(**part), shown)
    assert answer.answer == f"It is {said}"
    assert answer.places == ["λ = 1, strength 0.012, `every_step`, 10 seeds"]


def test_both_ratios_are_told() -> None:
    row = at_equal_loss([0.92, 0.90, 0.94], [0.70, 0.68, 0.72], 0.23)
    part = {"claim": None, "equal_loss": CELL, "answers": AT_EQUAL_LOSS}
    (answer,) = answers.answer_all(asked(**part), evidence(equal_loss=row))
    assert answer.numbers == [
        "accuracy: 0.92 times [0.90, 0.94] at equal loss, 0.70 times [0.68, 0.72] at the end"
    ]


# ── What cannot be answered ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"claim": "other"}, "the ledger has no claim other; name one"),
        ({"protocol": "adam"}, "the ledger has no claim gain under adam; name one"),
        ({"answers": {"reversed": "no"}}, "gain is supported; add an answer for that"),
        (
            {"claim": None, "equal_loss": CELL, "answers": AT_EQUAL_LOSS},
            "equal_loss.csv has no row every_step cifar100 1",
        ),
    ],
)
def test_a_question_about_what_the_study_lacks_is_one_line(part: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        answers.answer_all(asked(**part), evidence(claim_row()))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"claim": "other"}, "q.yaml: the ledger has no claim other; correct it, or write"),
        ({"protocol": "adam"}, "q.yaml: the ledger has no claim gain under adam; correct it"),
        (
            {"claim": None, "equal_loss": CELL | {"lambda": "7"}, "answers": {}},
            "q.yaml: the study has no cell every_step cifar100 7; correct it",
        ),
    ],
)
def test_questions_are_checked_before_there_is_evidence(part: dict[str, Any], said: str) -> None:
    tried, cells = {"gain": ["literal"]}, [("every_step", "cifar100", "1")]
    answers.check(Path("q.yaml"), asked(), tried, cells)
    answers.check(Path("q.yaml"), asked(claim=None, equal_loss=CELL), tried, cells)
    with pytest.raises(UserError, match=re.escape(said)):
        answers.check(Path("q.yaml"), asked(**part), tried, cells)


PART = {"measured": "x", "claim": "gain", "answers": {"supported": "yes"}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"question": "?"}, "a list of questions is needed"),
        ([{"question": "?"}], "'parts'; its first lines say what a question has"),
        ([{"question": "?", "parts": [PART], "colour": "red"}], "argument 'colour'; its first"),
        ([{"question": "?", "parts": [{"claim": "gain"}]}], "'measured'"),
        ([{"question": "?", "parts": [PART | {"equal_loss": CELL}]}], "either a claim or equal"),
        ([{"question": "?", "parts": [PART | {"answers": {"maybe": "yes"}}]}], "'maybe' is none"),
        (
            [{"question": "?", "parts": [PART | {"answers": {"reversed": {"above": "yes"}}}]}],
            "reversed: give words, or words for above and below",
        ),
        (
            [{"question": "?", "parts": [PART | {"claim": None, "equal_loss": {"lambda": "1"}}]}],
            "equal_loss needs protocol, dataset, lambda",
        ),
    ],
)
def test_a_mistake_in_the_questions_is_one_line(tmp_path: Path, content: Any, said: str) -> None:
    path = tmp_path / "questions.yaml"
    path.write_text(yaml.safe_dump([{"question": "?", "parts": [PART]}]), encoding="utf-8")
    assert answers.read_questions(path) == [Question("?", [Part(**PART)])]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        answers.read_questions(path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write `questions: null` in a config"):
        answers.read_questions(tmp_path / "questions.yaml")


# ── The project's questions ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("questions", "ledger"),
    [
        ("docs/questions.yaml", "claims.yaml"),
        ("profiles/demo/questions.yaml", "profiles/demo/claims.yaml"),
    ],
)
def test_every_question_has_words_for_whatever_its_claim_comes_to(
    root: Path, questions: str, ledger: str
) -> None:
    claims = yaml.safe_load((root / ledger).read_text(encoding="utf-8"))["claims"]
    for question in answers.read_questions(root / questions):
        for part in question.parts:
            known = answers.OUTCOMES if part.claim is None else VERDICTS
            assert set(part.answers) == set(known), question.question
            if part.claim is not None:
                assert part.protocol in [None, *claims[part.claim]["protocols"]]


def opposite(verdict: str) -> str:
    return {"supported": "reversed", "reversed": "supported"}[verdict]


def test_the_opposite_verdict_gives_other_words(root: Path) -> None:
    for question in answers.read_questions(root / "docs/questions.yaml"):
        for part in question.parts:
            if part.claim is not None:
                for verdict in ("supported", "reversed"):
                    assert part.answers[verdict] != part.answers[opposite(verdict)], question


def test_there_are_at_most_eight(root: Path) -> None:
    assert 1 <= len(answers.read_questions(root / "docs/questions.yaml")) <= 8
