"""The look of figures, whatever the user's Matplotlib is set to."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.font_manager import fontManager

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


def test_a_font_of_the_user_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TeX's fonts, installed for a user, may come first under the same names."""
    with mpl.rc_context():
        first = draw(tmp_path / "a.svg")
    (other,) = (font for font in fontManager.ttflist if font.name == "cmtt10")
    users = shutil.copy(other.fname, tmp_path / "cmr10.ttf")
    mine = dataclasses.replace(other, fname=str(users), name="cmr10")
    monkeypatch.setattr(fontManager, "ttflist", [mine, *fontManager.ttflist])
    fontManager._findfont_cached.cache_clear()
    with mpl.rc_context():
        assert draw(tmp_path / "b.svg") == first
