"""Text and numbers as LaTeX."""

from __future__ import annotations

import math
import re

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: rf"\{character}" for character in "&%$#_{}"},
}

MISSING = "--"

# What stands for a sign in LaTeX, and the sign; math's dollars are none.
_SIGNS = {
    **{written: character for character, written in _ESCAPES.items()},
    r"\cdot": "·",
    r"\mathrm{tr}(H^2)": "tr(H2)",
    r"\lambda": "λ",
    r"\dagger": "†",
    r"\approx": "≈",
    "{,}": ",",
    "$": "",
}
_SIGN = re.compile("|".join(map(re.escape, sorted(_SIGNS, key=len, reverse=True))))

# As `plain` has it: 11,314 and 7.09·10^8 are one number each.
_NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:·10\^-?\d+)?")


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def prose(text: str) -> str:
    """A sentence as `escape` has it, the study's symbols as mathematics."""
    return (
        escape(text)
        .replace(escape("tr(H^2)"), r"$\mathrm{tr}(H^2)$")
        .replace("lambda", r"$\lambda$")
    )


def number(value: float | None, pattern: str = ".3g") -> str:
    """A number in math mode's signs; a missing one is a dash.

    Args:
        value: NaN and None are missing.
        pattern: as of `format`; what comes out in powers of ten is written with a dot.
    """
    if value is None or math.isnan(value):
        return MISSING
    text = format(value, pattern)
    if "e" in text:
        mantissa, exponent = text.split("e")
        return rf"${mantissa}\cdot10^{{{int(exponent)}}}$"
    return f"${text}$" if text.startswith("-") else text


def p_value(p: float | None) -> str:
    """A p value to three places, never 0.000."""
    if p is None or math.isnan(p):
        return MISSING
    return "$<$0.001" if p < 0.0005 else format(p, ".3f")


def plain(text: str) -> str:
    """Numbers and clauses of this module's LaTeX, as a reader sees them: `7.09·10^8`."""
    return _SIGN.sub(lambda found: _SIGNS[found[0]], re.sub(r"\^\{([^{}]*)\}", r"^\1", text))


def without_comment(line: str) -> str:
    """A line of LaTeX up to its comment."""
    return re.sub(r"(?<!\\)%.*", "", line)


def numbers_in(text: str) -> list[str]:
    """The numbers that stand in plain text, signs included."""
    return _NUMBER.findall(text)
