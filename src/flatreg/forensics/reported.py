"""The original's numbers as printed, with their decimals, from paper/original.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from flatreg.config import BASELINE
from flatreg.disk.files import read_json
from flatreg.errors import UserError

ACCURACIES = ("test_accuracy", "best_test_accuracy")
SECONDS = "seconds"


class Printed(NamedTuple):
    """A number as printed: `digits` / 10^`decimals`, which keeps trailing zeros."""

    digits: int
    decimals: int

    @property
    def value(self) -> float:
        """The number."""
        return self.digits / 10**self.decimals

    @property
    def half(self) -> float:
        """Half a unit of the last digit."""
        return 0.5 / 10**self.decimals

    def __str__(self) -> str:
        """Format as printed."""
        return f"{self.value:.{self.decimals}f}"


class Reported(NamedTuple):
    """A number in a table of the original."""

    dataset: str
    lam: str
    column: str
    printed: Printed


class Training(NamedTuple):
    """The stated length of a training; `least_epochs` is None if only a bound is stated."""

    least_epochs: int | None
    most_epochs: int
    batch: int
    penalty_interval: int


class Original(NamedTuple):
    """Everything that the original reports about its trainings.

    Attributes:
        runs: number of trainings behind each mean.
        values: the means in its tables, and the times.
        deviations: standard deviations over the runs.
        time_ratios: training time with the penalty relative to without, by data set.
        training: stated lengths of trainings, by data set.
    """

    runs: int
    values: list[Reported]
    deviations: list[Reported]
    time_ratios: dict[str, Printed]
    training: dict[str, Training]

    def accuracies(self, dataset: str) -> list[Reported]:
        """Final and best accuracies of a data set, by column, then in the table's order."""
        return [value for column in ACCURACIES for value in self.of(dataset, column)]

    def of(self, dataset: str, column: str) -> list[Reported]:
        """A column of a data set's table."""
        return [v for v in self.values if (v.dataset, v.column) == (dataset, column)]

    def baseline(self, dataset: str, column: str) -> Printed:
        """The value of a column at lambda 0.

        Raises:
            UserError: the table has no row for lambda 0.
        """
        for value in self.of(dataset, column):
            if value.lam == BASELINE:
                return value.printed
        raise UserError(f"the original's {column} of {dataset} has no row of lambda {BASELINE}")


def printed(value: float, decimals: int) -> Printed:
    """A number that was printed with this many decimals.

    Raises:
        UserError: the number has more decimals.
    """
    digits = round(value * 10**decimals)
    if abs(digits / 10**decimals - value) > 1e-9 * max(1.0, abs(value)):
        raise UserError(f"{value} has more than {decimals} decimals; correct either")
    return Printed(digits, decimals)


def read(path: Path) -> Original:
    """Read paper/original.json.

    Raises:
        UserError: the file is missing or broken, or a number does not match its decimals.
    """
    return parse(read_json(path), str(path))


def parse(content: dict[str, Any], where: str) -> Original:
    """Parse the content of paper/original.json.

    Raises:
        UserError: a part is missing, or a number does not match its decimals; the message begins
            with `where`.
    """
    try:
        return Original(
            runs=content["seeds"],
            values=_values(content["results"], content["decimals"]),
            deviations=[
                Reported(
                    row["dataset"],
                    row["lambda"],
                    row["column"],
                    printed(row["value"], row["decimals"]),
                )
                for row in content["standard_deviations"]
            ],
            time_ratios={
                row["dataset"]: printed(row["value"], row["decimals"])
                for row in content["time_ratios"]
            },
            training={name: Training(**row) for name, row in content["training"].items()},
        )
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except (KeyError, TypeError) as error:
        raise UserError(f"{where}: a part is missing or misnamed ({error})") from error


def _values(
    results: dict[str, list[dict[str, Any]]], decimals: dict[str, dict[str, list[int]]]
) -> list[Reported]:
    values = []
    for dataset, rows in results.items():
        for column, places in decimals[dataset].items():
            if len(places) != len(rows):
                raise UserError(
                    f"decimals of {dataset}, {column}: {len(places)} for {len(rows)} rows"
                )
            values += [
                Reported(dataset, row["lambda"], column, printed(row[column], place))
                for row, place in zip(rows, places, strict=True)
            ]
    return values
