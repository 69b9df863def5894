"""Views of single examples of a data set, for the notebooks."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd


def table(worst: dict[str, np.ndarray], classes: list[str]) -> pd.DataFrame:
    """One row per example: loss (nats), label, predicted class, and its words or features.

    Args:
        worst: what `flatreg.measure.examples` wrote; without losses if every run diverged.
        classes: names of the classes, in the order of their numbers.
    """
    if not len(worst["row"]):
        return pd.DataFrame(columns=["loss", "label", "predicted"])
    names = np.array(classes)
    judged = {
        "loss": worst["loss"],
        "label": names[worst["label"]],
        "predicted": names[worst["predicted"]],
    }
    words = {"words": worst["words"]} if "words" in worst else {}
    frame = pd.DataFrame(judged | words, index=worst["row"])
    if "features" not in worst:
        return frame
    return frame.join(pd.DataFrame(worst["features"], index=worst["row"]))


def draw_pictures(worst: dict[str, np.ndarray]) -> plt.Figure:
    """Draw the examples of a data set of pictures, side by side."""
    pictures = worst["pictures"] / worst["maximum"]
    figure, panels = plt.subplots(
        1, max(1, len(pictures)), figsize=(len(pictures) * 0.7 + 0.1, 0.8), squeeze=False
    )
    for panel, picture in zip(panels.flat, pictures, strict=False):
        panel.imshow(picture, cmap="gray", vmin=0, vmax=1)
    for panel in panels.flat:
        panel.set_axis_off()
    return figure
