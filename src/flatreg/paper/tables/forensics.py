"""The paper's table of possible origins of the original's numbers.

By hand: `python -m flatreg.paper.tables table_forensics --help`.
"""

from __future__ import annotations

import pandas as pd

from flatreg import labels
from flatreg.config import BASELINE
from flatreg.errors import UserError
from flatreg.forensics import reported
from flatreg.forensics.reported import ACCURACIES, Original, Reported
from flatreg.paper import latex, provenance
from flatreg.paper.provenance import Fact, Printed
from flatreg.paper.sources import Sources
from flatreg.tables.reported import CHECKS_TABLE, GRIM_TABLE

# Lambda; number, count, difference in examples and standard errors of both accuracies; origins.
_COLUMNS = 2 + 4 * len(ACCURACIES)
_FINAL = ACCURACIES[0]
_LEGEND = (
    r"$\Delta$: difference to $\lambda=0$ in test examples over all runs, then in standard errors.",
    r"Guessing: within the interval of one run; constant: prints as one class in each run;",
    r"largest class: within the interval for it on a random fifth of all examples.",
)


def table(cited: Sources) -> Printed:
    """A `tabular` with one block per data set and one row per lambda.

    A count is the number of right answers over all runs, on the test set that the values point to,
    else on the test split. A number that no count gives has a dash, and the nearest count in
    brackets. The chance is the probability that as many random numbers fit at least as well: at
    this size or, if the values led to it, at any size up to it.
    """
    heads = "".join(
        rf" & \multicolumn{{4}}{{c}}{{{name}}}" for name in ("final accuracy", "best accuracy")
    )
    spans = "".join(rf" \cmidrule(lr){{{2 + 4 * i}-{5 + 4 * i}}}" for i in range(len(ACCURACIES)))
    lines: list[Printed | str] = [
        rf"\begin{{tabular}}{{@{{}}l{'rrrr' * len(ACCURACIES)}l@{{}}}}",
        r"\toprule",
        rf"{heads} & \\{spans}",
        r"$\lambda$"
        + r" & reported & count & $\Delta$ & s.e." * len(ACCURACIES)
        + r" & final can be \\",
    ]
    original = reported.read(cited.paths["original"])
    for dataset in dict.fromkeys(cited.evidence["grim"]["dataset"]):
        lines += _Block(cited, original, dataset).lines()
    lines += [r"\midrule", *(_across([sentence]) for sentence in _LEGEND)]
    return provenance.join([*lines, r"\bottomrule", r"\end{tabular}", ""], "\n")


class _Block:
    """One data set of the table; its numbers carry their provenance."""

    def __init__(self, cited: Sources, original: Original, dataset: str) -> None:
        self._dataset, self._original, self._paths = dataset, original, cited.paths
        self._runs = original.runs
        checks = cited.evidence["checks"]
        self._checks = checks[checks["dataset"] == dataset]
        self._n_test = int(self._check("test_size")["value"])
        self._grim = _one(
            cited.evidence["grim"], dataset=dataset, n_test=self._n_test, runs=self._runs
        )

    def lines(self) -> list[Printed | str]:
        """The lines that hold for all rows, then the rows."""
        values = self._original.accuracies(self._dataset)
        by_lambda: dict[str, list[Reported]] = {}
        for value in values:
            by_lambda.setdefault(value.lam, []).append(value)
        rows = [self._row(lam, of_lambda) for lam, of_lambda in by_lambda.items()]
        return [r"\midrule", _across(self._fit()), _across(self._nothing_learned()), *rows]

    def _fit(self) -> list[Printed | str]:
        name = latex.escape(labels.dataset(self._dataset))
        # A size that comes from a search needs the probability over the whole search.
        chance = "chance" if "test split" in self._grim["split"] else "chance_any"
        first = {"n_test": self._n_test, "lambda": BASELINE, "column": _FINAL}
        one, several = (
            self._check("standard_error", runs=runs, **first) for runs in (1, self._runs)
        )
        return [
            rf"\emph{{{name}}}: ",
            self._of_grim("fitting"),
            " of ",
            self._of_grim("values"),
            " fit ",
            self._of_grim("runs"),
            " runs on ",
            self._of_grim("n_test"),
            " examples (chance ",
            self._of_grim(chance, _chance(self._grim[chance])),
            "); s.e. ",
            self._of_check(one, "value", latex.number(one["value"], ".2g")),
            ", of the mean ",
            self._of_check(several, "value", latex.number(several["value"], ".2g")),
            ".",
        ]

    def _nothing_learned(self) -> list[Printed | str]:
        first = {"lambda": BASELINE, "column": _FINAL}
        guess = self._check("chance", n_test=self._n_test, runs=1, **first)
        majority = self._check("majority", **first)
        constant = self._checks[self._checks["check"].isin(["constant", "constants"])]
        hits = constant[constant["consistent"] == 1].drop_duplicates(["lambda", "column"])
        statistic = f"reported accuracies of {self._dataset} that a class in each run prints"
        explained = self._fact("constants_count", len(hits), statistic, "checks", str(len(hits)))
        return [
            "Guessing gives ",
            self._of_check(guess, "value", latex.number(guess["value"], ".3g")),
            ", the largest class ",
            self._of_check(majority, "value", latex.number(majority["value"], ".4f")),
            "; a constant prediction prints as ",
            explained,
            " of ",
            self._of_grim("values"),
            ".",
        ]

    def _row(self, lam: str, values: list[Reported]) -> Printed:
        statistic = "strength of the penalty, as the original paper has it"
        cells: list[Printed | str] = [self._fact(f"{lam}/lambda", lam, statistic, "original", lam)]
        by_column = {value.column: value for value in values}
        for column in ACCURACIES:
            value = by_column.get(column)
            cells += [""] * 4 if value is None else self._number(value)
        cells.append(_origins(self._checks, lam, self._n_test))
        return provenance.join([provenance.join(cells, " & "), r" \\"])

    def _number(self, value: Reported) -> list[Printed | str]:
        """A reported number, its count, and its difference to lambda 0 (not at lambda 0 itself)."""
        place = {"lambda": value.lam, "column": value.column}
        text = str(value.printed)
        statistic = f"{value.column} as the original paper reports it"
        name = f"{value.lam}/{value.column}/reported"
        number = self._fact(name, value.printed.value, statistic, "original", text)
        count = self._check("count", n_test=self._n_test, **place)
        nearest = self._of_check(count, "value", str(int(count["value"])))
        parts = [nearest] if count["consistent"] else [rf"{latex.MISSING} (", nearest, ")"]
        cells: list[Printed | str] = [number, provenance.join(parts)]
        if value.lam == BASELINE:
            return [*cells, "", ""]
        change = self._check("difference", n_test=self._n_test, **place)
        return [
            *cells,
            self._of_check(change, "images", latex.number(change["images"], "+.0f")),
            self._of_check(
                change, "standard_errors", latex.number(change["standard_errors"], "+.2f")
            ),
        ]

    def _check(self, check: str, **place: object) -> pd.Series:
        return _one(self._checks, check=check, **place)

    def _of_grim(self, column: str, text: str | None = None) -> Printed:
        value = self._grim[column]
        described = GRIM_TABLE.columns[column].description
        statistic = f"{self._dataset}, {self._n_test} examples x {self._runs} runs: {described}"
        return self._fact(f"grim/{column}", value, statistic, "grim", text or str(value))

    def _of_check(self, row: pd.Series, column: str, text: str) -> Printed:
        where = [row["check"], row["lambda"], row["column"], row["against"]]
        runs = [] if pd.isna(row["runs"]) else [str(row["runs"])]
        name = "/".join([row["lambda"], row["column"], row["check"], *runs, column])
        described = CHECKS_TABLE.columns[column].description
        statistic = f"{self._dataset}, {', '.join(where)}: {described}"
        return self._fact(name, row[column], statistic, "checks", text)

    def _fact(self, name: str, value: object, statistic: str, file: str, text: str) -> Printed:
        fact = Fact(value, statistic, [], [self._paths[file].as_posix()])
        return provenance.printed(f"table_forensics/{self._dataset}/{name}", fact, text)


def _across(parts: list[Printed | str]) -> Printed:
    return provenance.join([rf"\multicolumn{{{_COLUMNS}}}{{@{{}}l@{{}}}}{{", *parts, r"} \\"])


def _origins(checks: pd.DataFrame, lam: str, n_test: int) -> str:
    """The untrained predictions that the final accuracy is consistent with."""
    row = checks[(checks["lambda"] == lam) & (checks["column"] == _FINAL)]
    row = row[row["consistent"] == 1]
    guess = (row["check"] == "chance") & (row["runs"] == 1) & (row["n_test"] == n_test)
    split = (row["check"] == "random_split") & (row["against"].str.endswith("1/5"))
    origins = {
        "guessing": guess.any(),
        "constant": row["check"].isin(["constant", "constants"]).any(),
        "largest class": split.any(),
    }
    return ", ".join(name for name, so in origins.items() if so) or latex.MISSING


def _chance(value: float) -> str:
    return latex.number(value, ".2g" if value < 1e-4 or value > 0.1 else ".4f")


def _one(frame: pd.DataFrame, **place: object) -> pd.Series:
    """The row of a place.

    Raises:
        UserError: the place has no row.
    """
    for column, value in place.items():
        frame = frame[frame[column] == value]
    if frame.empty:
        where = ", ".join(f"{column} {value}" for column, value in place.items())
        raise UserError(f"the forensics tables have no row of {where}; make both of them again")
    return frame.iloc[0]
