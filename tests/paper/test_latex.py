"""Text and numbers as LaTeX."""

from __future__ import annotations

import pytest

from flatreg.paper import latex


@pytest.mark.parametrize(
    ("value", "pattern", "written"),
    [
        (0.26333, ".4f", "0.2633"),
        (-0.5, ".2f", "$-0.50$"),
        (-3.0, "+.3g", "$-3$"),
        (708697344.9, ".3g", r"$7.09\cdot10^{8}$"),
        (0.0000123, ".2g", r"$1.2\cdot10^{-5}$"),
        (float("nan"), ".3g", "--"),
        (None, ".3g", "--"),
    ],
)
def test_numbers(value: float | None, pattern: str, written: str) -> None:
    assert latex.number(value, pattern) == written


@pytest.mark.parametrize(
    ("p", "written"),
    [(0.0004, "$<$0.001"), (0.0006, "0.001"), (0.05, "0.050"), (1.0, "1.000"), (None, "--")],
)
def test_a_p_value_is_never_zero(p: float | None, written: str) -> None:
    assert latex.p_value(p) == written


def test_every_special_character_is_escaped() -> None:
    assert latex.escape(r"a_b & 5% $x$ {\input} #1 ~^") == (
        r"a\_b \& 5\% \$x\$ \{\textbackslash{}input\} \#1 \textasciitilde{}\textasciicircum{}"
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (latex.number(708697344.9), "7.09·10^8"),
        (latex.number(-0.5, ".2f"), "-0.50"),
        ("11{,}314", "11,314"),
        (latex.p_value(0.0), "<0.001"),
        (latex.escape("80%"), "80%"),
        (r"no $\lambda$ changed it ($n$ = 3)", "no λ changed it (n = 3)"),
        (latex.escape(r"a_b & \{x} $5 ~^"), r"a_b & \{x} $5 ~^"),
        (r"\dagger1", "†1"),
    ],
)
def test_what_a_reader_sees(written: str, read: str) -> None:
    assert latex.plain(written) == read
