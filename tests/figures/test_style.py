"""The look of figures, whatever the user's Matplotlib is set to."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from flatreg.figures.style import STYLE, save, use

USERS = {
    "savefig.bbox": "tight",
    "axes.grid": True,
    "axes.facecolor": "222222",
    "text.usetex": True,
    "lines.linewidth": 7,
    "font.family": "monospace",
}


def draw(path: Path) -> bytes:
    use(STYLE)
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, 1], [2, 3])
    axes.set_xlabel("time")
    save(figure, path)
    plt.close(figure)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_the_users_settings_have_no_influence(tmp_path: Path, suffix: str) -> None:
    with mpl.rc_context():
        first = draw(tmp_path / f"a{suffix}")
    with mpl.rc_context(USERS):
        assert draw(tmp_path / f"b{suffix}") == first
