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

# LaTeX spellings and the characters that they print; math dollars print nothing.
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

# In the output of `plain`, 11,314 and 7.09·10^8 are one number each.
_NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:·10\^-?\d+)?")


def escape(text: str) -> str:
    """Escape a text so that LaTeX prints it literally."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def prose(text: str) -> str:
    """Escape a sentence, with the study's symbols in math mode."""
    return (
        escape(text)
        .replace(escape("tr(H^2)"), r"$\mathrm{tr}(H^2)$")
        .replace("lambda", r"$\lambda$")
    )


def number(value: float | None, pattern: str = ".3g") -> str:
    """Format a number for LaTeX; a missing one is a dash.

    Args:
        value: NaN and None mean missing.
        pattern: a pattern for `format`; an exponent is written as a power of ten.
    """
    if value is None or math.isnan(value):
        return MISSING
    text = format(value, pattern)
    if "e" in text:
        mantissa, exponent = text.split("e")
        return rf"${mantissa}\cdot10^{{{int(exponent)}}}$"
    return f"${text}$" if text.startswith("-") else text


def short(value: float | None, digits: int = 3) -> str:
    """Format a number of any size to some digits; where a power of ten would be wider, whole.

    Args:
        value: NaN and None mean missing.
        digits: number of significant digits.
    """
    if value is not None and 10**digits <= abs(value) < 1e5:
        return number(value, ",.0f").replace(",", "{,}")
    return number(value, f".{digits}g")


def p_value(p: float | None) -> str:
    """Format a p value to three places, never as 0.000."""
    if p is None or math.isnan(p):
        return MISSING
    return "$<$0.001" if p < 0.0005 else format(p, ".3f")


def plain(text: str) -> str:
    """Convert this module's LaTeX to the text that a reader sees, such as `7.09·10^8`."""
    return _SIGN.sub(lambda match: _SIGNS[match[0]], re.sub(r"\^\{([^{}]*)\}", r"^\1", text))


def without_comment(line: str) -> str:
    """A line of LaTeX up to its comment."""
    return re.sub(r"(?<!\\)%.*", "", line)


def numbers_in(text: str) -> list[str]:
    """The numbers in a plain text, with signs."""
    return _NUMBER.findall(text)
