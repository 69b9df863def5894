"""The paper's ledger of claims."""

from __future__ import annotations

from typing import Any

import pandas as pd

from flatreg import labels
from flatreg.paper import latex, places, provenance
from flatreg.paper.provenance import Printed
from flatreg.paper.sources import Sources
from flatreg.tables.evidence import (
    EXCLUDED,
    EXPLORATORY,
    NO_EFFECT,
    NOT_TESTABLE,
    REVERSED,
    SUPPORTED,
    UNDETERMINED,
)

# Signs for verdicts, to save space.
SIGNS = {
    SUPPORTED: "$+$",
    REVERSED: "$-$",
    NO_EFFECT: r"$\approx$",
    EXCLUDED: r"$\neq$",
    UNDETERMINED: "?",
    NOT_TESTABLE: r"$\emptyset$",
}
# The p of an effect beyond the margin, within it, and short of it in the claimed direction.
P_VALUES = {
    "p_adjusted": "$p_>$",
    "equivalence_p_adjusted": "$p_=$",
    "excluded_p_adjusted": "$p_<$",
}
# The sign of an estimate by its unit, or else by its test (difference or mean).
KINDS = {"ratio": r"$\times$", "Spearman's rho": r"$\rho$", "Kendall's tau": r"$\tau$"}
# Claim, estimate, the p values, n, verdict, and where else it was tried.
_COLUMNS = 5 + len(P_VALUES)


def table(cited: Sources) -> Printed:
    r"""A `longtable`, one row per claim under the deciding protocol, with `\ledgercaption`.

    Claims are grouped by family. The last column has the verdicts under the other protocols, as
    signs.
    """
    head = (
        rf"claim & estimate & {' & '.join(P_VALUES.values())} & $n$ & verdict & under; elsewhere \\"
    )
    lines: list[Printed | str] = [
        r"\begin{longtable}{@{}>{\raggedright\arraybackslash}p{41mm}lrrrr>{\raggedright\arraybackslash}p{20mm}>{\raggedright\arraybackslash}p{24mm}@{}}",
        r"\caption{\ledgercaption}\label{tab:ledger}\\",
        *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
        *(r"\toprule", head, r"\midrule", r"\endhead"),
        r"\bottomrule\endfoot",
    ]
    claims = cited.evidence["claims"]
    family_of = claims.drop_duplicates("claim").set_index("claim")["family"]
    for family, title in labels.FAMILIES.items():
        own = claims[claims["claim"].map(family_of) == family]
        if len(own):
            lines.append(rf"\multicolumn{{{_COLUMNS}}}{{@{{}}l}}{{\emph{{{title}}}}} \\")
        for _, rows in own.groupby("claim", sort=False):
            lines.append(provenance.join([provenance.join(_row(cited, rows), " & "), r" \\"]))
    return provenance.join([*lines, r"\end{longtable}", ""], "\n")


def _row(cited: Sources, rows: pd.DataFrame) -> list[Printed | str]:
    first, others = rows.iloc[0], rows.iloc[1:]
    row = _Row(cited, first["claim"], first["protocol"])
    elsewhere = [
        provenance.join([f"{latex.escape(p)} ", _Row(cited, first["claim"], p).sign()])
        for p in others["protocol"]
    ]
    mark = " (exploratory)" if first["registered"] == EXPLORATORY else ""
    return [
        provenance.join([row.text("statement"), mark]),
        provenance.join([_kind(first), row.estimate()]),
        *(row.cell(name, latex.p_value(first[name])) for name in P_VALUES),
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
    if 0 < abs(value) < 1e-4:
        return latex.number(value, ".6f")
    return latex.short(value)
