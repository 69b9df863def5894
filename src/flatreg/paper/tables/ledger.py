"""The paper's ledger of claims."""

from __future__ import annotations

from typing import Any

import pandas as pd

from flatreg.paper import latex, places, provenance
from flatreg.paper.provenance import Printed
from flatreg.paper.sources import Sources

# Signs for verdicts, to save space.
SIGNS = {"supported": "$+$", "contradicted": "$-$", "equivalent": r"$\approx$", "undetermined": "?"}
# The sign of an estimate by its unit, or else by its test (difference or mean).
KINDS = {"ratio": r"$\times$", "Spearman's rho": r"$\rho$", "Kendall's tau": r"$\tau$"}


def table(cited: Sources) -> Printed:
    r"""A `longtable`, one row per claim under the deciding protocol, with `\ledgercaption`.

    The last column has the verdicts under the other protocols, as signs.
    """
    head = r"claim & estimate & $p$ & $p_=$ & $n$ & verdict & under; elsewhere \\"
    lines: list[Printed | str] = [
        r"\begin{longtable}{@{}>{\raggedright\arraybackslash}p{57mm}lrrrl>{\raggedright\arraybackslash}p{25mm}@{}}",
        r"\caption{\ledgercaption}\label{tab:ledger}\\",
        *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
        *(r"\toprule", head, r"\midrule", r"\endhead"),
        r"\bottomrule\endfoot",
    ]
    for _, rows in cited.evidence["claims"].groupby("claim", sort=False):
        lines.append(provenance.join([provenance.join(_row(cited, rows), " & "), r" \\"]))
    return provenance.join([*lines, r"\end{longtable}", ""], "\n")


def _row(cited: Sources, rows: pd.DataFrame) -> list[Printed | str]:
    first, others = rows.iloc[0], rows.iloc[1:]
    row = _Row(cited, first["claim"], first["protocol"])
    elsewhere = [
        provenance.join([f"{latex.escape(p)} ", _Row(cited, first["claim"], p).sign()])
        for p in others["protocol"]
    ]
    return [
        row.text("statement"),
        provenance.join([_kind(first), row.estimate()]),
        row.cell("p_adjusted", latex.p_value(first["p_adjusted"])),
        row.cell("equivalence_p_adjusted", latex.p_value(first["equivalence_p_adjusted"])),
        row.cell("n", str(int(first["n"]))),
        provenance.join([r"\textbf{", row.text("verdict"), "}"]),
        provenance.join([rf"\emph{{{latex.escape(first['protocol'])}}}", *elsewhere], "; "),
    ]


def _kind(row: pd.Series) -> str:
    other = "$=$" if row["test"] == "mean" else r"$\Delta$"
    return KINDS.get(row["unit"], other) + " "


class _Row:
    """One row of claims.csv; its cells carry their provenance."""

    def __init__(self, cited: Sources, claim: str, protocol: str) -> None:
        self._cited, self._claim, self._protocol = cited, claim, protocol

    def cell(self, column: str, text: str) -> Printed:
        """A column, printed as this text."""
        name = f"ledger/{self._claim}/{self._protocol}/{column}"
        return provenance.printed(name, self._fact(column), text)

    def text(self, column: str) -> Printed:
        """A column with text."""
        return self.cell(column, latex.prose(self._fact(column).value))

    def sign(self) -> Printed:
        """The verdict as a sign."""
        verdict = self._fact("verdict").value
        return self.cell("verdict", SIGNS[verdict])

    def estimate(self) -> Printed:
        """Estimate and interval, if there are any."""
        value, low, high = (self._fact(c).value for c in ("estimate", "low", "high"))
        parts: list[Printed | str] = [self.cell("estimate", _number(value))]
        if not (pd.isna(low) or pd.isna(high)):
            parts += [" [", self.cell("low", _number(low)), ", "]
            parts += [self.cell("high", _number(high)), "]"]
        return provenance.join(parts)

    def _fact(self, column: str) -> Any:
        return places.of_claim(self._cited, self._claim, self._protocol, column)


def _number(value: float) -> str:
    # Powers of ten would not fit in the column.
    return latex.number(value, ",.0f" if 1000 <= abs(value) < 1e5 else ".3g").replace(",", "{,}")
