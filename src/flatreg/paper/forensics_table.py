"""The paper's table of what the original's numbers can come from.

By hand: `python -m flatreg.paper.forensics_table --help`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from flatreg import labels, tables
from flatreg.errors import UserError, run_command
from flatreg.evidence.reported import ACCURACIES
from flatreg.evidence.tables import CHECKS_TABLE, GRIM_DENOMINATORS_TABLE, GRIM_TABLE
from flatreg.files import write_text
from flatreg.paper import latex

# Lambda; number, count, difference in examples and in standard errors, of either accuracy; sources.
_COLUMNS = 2 + 4 * len(ACCURACIES)
_FINAL = ACCURACIES[0]
_LEGEND = (
    r"$\Delta$: difference to $\lambda=0$ in test examples over all runs, then in standard errors.",
    r"Guessing: within the interval of one run; constant: prints as one class in each run;",
    r"largest class: within the interval for it on a random fifth of all examples.",
)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.paper.forensics_table")
    parser.add_argument("--grim", type=Path, required=True, help="values x test sets")
    parser.add_argument("--denominators", type=Path, required=True, help="all denominators")
    parser.add_argument("--checks", type=Path, required=True, help="all other checks")
    parser.add_argument("--out", type=Path, required=True, help="the table (.tex)")
    arguments = parser.parse_args()
    write_text(
        arguments.out,
        table(
            tables.read(arguments.grim, GRIM_TABLE),
            tables.read(arguments.denominators, GRIM_DENOMINATORS_TABLE),
            tables.read(arguments.checks, CHECKS_TABLE),
        ),
    )


def table(grim: pd.DataFrame, denominators: pd.DataFrame, checks: pd.DataFrame) -> str:
    """A `tabular`: a block a data set, a row a lambda.

    Counts are of right answers over all runs on the test set that the values point to, else on the
    test split; a number that no count gives has a dash and the nearest count in brackets. The
    chance is that of as many random numbers to fit no worse: this size, or, if the values led to
    it, any size up to it.
    """
    heads = "".join(
        rf" & \multicolumn{{4}}{{c}}{{{name}}}" for name in ("final accuracy", "best accuracy")
    )
    spans = "".join(rf" \cmidrule(lr){{{2 + 4 * i}-{5 + 4 * i}}}" for i in range(len(ACCURACIES)))
    lines = [
        rf"\begin{{tabular}}{{@{{}}l{'rrrr' * len(ACCURACIES)}l@{{}}}}",
        r"\toprule",
        rf"{heads} & \\{spans}",
        r"$\lambda$"
        + r" & reported & count & $\Delta$ & s.e." * len(ACCURACIES)
        + r" & final can be \\",
    ]
    for dataset in dict.fromkeys(grim["dataset"]):
        lines += _block(
            *(frame[frame["dataset"] == dataset] for frame in (grim, denominators, checks))
        )
    lines += [r"\midrule", *(_across(sentence) for sentence in _LEGEND)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _block(grim: pd.DataFrame, denominators: pd.DataFrame, checks: pd.DataFrame) -> list[str]:
    difference = checks[checks["check"] == "difference"]
    n_test = int(_one(checks, check="test_size")["value"])
    runs = int(difference["runs"].iloc[0])
    grim = grim[(grim["n_test"] == n_test) & (grim["runs"] == runs)]
    difference = difference[difference["n_test"] == n_test]
    fit = _one(denominators, denominator=n_test * runs)
    lines = [r"\midrule", *_notes(fit, grim, checks, n_test, runs)]
    for lam in dict.fromkeys(grim["lambda"]):
        cells = [lam]
        for column in ACCURACIES:
            cells += _reported(_one(grim, **{"lambda": lam, "column": column}))
            change = difference[(difference["lambda"] == lam) & (difference["column"] == column)]
            cells += _change(change.iloc[0]) if len(change) else ["", ""]
        lines.append(" & ".join([*cells, _sources(checks, lam, n_test)]) + r" \\")
    return lines


def _notes(
    fit: pd.Series, grim: pd.DataFrame, checks: pd.DataFrame, n_test: int, runs: int
) -> list[str]:
    """What holds for all rows of a block: fit, standard errors, chance and constants."""
    name = latex.escape(labels.dataset(grim["dataset"].iloc[0]))
    errors = checks[(checks["check"] == "standard_error") & (checks["n_test"] == n_test)]
    one, several = (errors[errors["runs"] == k]["value"].iloc[0] for k in (1, runs))
    guess, majority = (checks[checks["check"] == check] for check in ("chance", "majority"))
    constant = checks[checks["check"].isin(["constant", "constants"])]
    explained = constant[constant["consistent"] == 1].drop_duplicates(["lambda", "column"])
    # A size that was sought among all pays for the search.
    known = grim["split"].str.contains("test split").iloc[0]
    sentences = [
        rf"\emph{{{name}}}: {fit['fitting']} of {fit['values']} fit {runs} runs on {n_test}"
        rf" examples (chance {_chance(fit['chance' if known else 'chance_any'])});"
        rf" s.e. {latex.number(one, '.2g')}, of the mean {latex.number(several, '.2g')}.",
        rf"Guessing gives {latex.number(guess['value'].iloc[0], '.3g')}, the largest class"
        rf" {latex.number(majority['value'].iloc[0], '.4f')};"
        rf" a constant prediction prints as {len(explained)} of {fit['values']}.",
    ]
    return [_across(sentence) for sentence in sentences]


def _across(sentence: str) -> str:
    return rf"\multicolumn{{{_COLUMNS}}}{{@{{}}l@{{}}}}{{{sentence}}} \\"


def _sources(checks: pd.DataFrame, lam: str, n_test: int) -> str:
    """Which predictions that have learned nothing the final accuracy is consistent with."""
    row = checks[(checks["lambda"] == lam) & (checks["column"] == _FINAL)]
    row = row[row["consistent"] == 1]
    guess = (row["check"] == "chance") & (row["runs"] == 1) & (row["n_test"] == n_test)
    split = (row["check"] == "random_split") & (row["against"].str.endswith("1/5"))
    found = {
        "guessing": guess.any(),
        "constant": row["check"].isin(["constant", "constants"]).any(),
        "largest class": split.any(),
    }
    return ", ".join(name for name, so in found.items() if so) or latex.MISSING


def _reported(row: pd.Series) -> list[str]:
    count = f"{row['numerator']}" if row["fits"] else f"{latex.MISSING} ({row['numerator']})"
    return [row["printed"], count]


def _change(row: pd.Series) -> list[str]:
    return [latex.number(row["images"], "+.0f"), latex.number(row["standard_errors"], "+.2f")]


def _chance(value: float) -> str:
    return latex.number(value, ".2g" if value < 1e-4 or value > 0.1 else ".4f")


def _one(frame: pd.DataFrame, **place: object) -> pd.Series:
    """The row of a place.

    Raises:
        UserError: there is none.
    """
    for column, value in place.items():
        frame = frame[frame[column] == value]
    if frame.empty:
        where = ", ".join(f"{column} {value}" for column, value in place.items())
        raise UserError(f"the forensics tables have no row of {where}; make all of them again")
    return frame.iloc[0]


if __name__ == "__main__":
    run_command(main)
