"""Flow charts drawn from the config: `python -m flatreg.paper.flowcharts --help`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flatreg import labels
from flatreg.errors import run_command
from flatreg.files import read_json, write_text
from flatreg.models import logits_of
from flatreg.paper import latex


def main() -> None:
    """Write the flow charts of the models and of a training step."""
    parser = argparse.ArgumentParser(prog="python -m flatreg.paper.flowcharts", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="resolved config (JSON)")
    parser.add_argument("--manifests", type=Path, required=True, nargs="+")
    parser.add_argument("--models", type=Path, required=True, help="the models' chart (.tex)")
    parser.add_argument("--step", type=Path, required=True, help="the training step's chart (.tex)")
    arguments = parser.parse_args()
    study = read_json(arguments.config)
    classes = {m["source"]: m["classes"] for m in map(read_json, arguments.manifests)}
    write_text(arguments.models, models_chart(study, classes))
    write_text(arguments.step, step_chart(study))


def models_chart(study: dict[str, Any], classes: dict[str, int]) -> str:
    """A row of boxes a data set, input to loss; all protocols have it alike or in rows apart."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for protocol in study["protocols"].values():
        for name, chosen in protocol["datasets"].items():
            boxes = _layers(chosen["model"], classes[chosen["source"]])
            titles = rows.setdefault(boxes, [])
            if labels.dataset(name) not in titles:
                titles.append(labels.dataset(name))
    lines = [r"\begin{tikzpicture}[node distance=3mm]"]
    for number, (boxes, titles) in enumerate(rows.items()):
        start = rf"\node[title] (t{number}) at (0,{-1.25 * number}) "
        lines.append(start + rf"{{{latex.escape(', '.join(titles))}}};")
        before = f"t{number}"
        for index, box in enumerate(boxes):
            name = f"b{number}x{index}"
            lines.append(rf"\node[box, right=of {before}] ({name}) {{{box}}};")
            if index:
                lines.append(rf"\draw[flow] ({before}) -- ({name});")
            before = name
    return "\n".join([*lines, r"\end{tikzpicture}"]) + "\n"


def step_chart(study: dict[str, Any]) -> str:
    """One training step, with the numbers that all trainings share; the others are named."""
    trainings = [d for p in study["protocols"].values() for d in p["datasets"].values()]
    k = _shared([t["penalty"]["interval"] for t in trainings], "k")
    m = _shared([t["penalty"]["probes"] for t in trainings], "M")
    distributions = sorted({t["penalty"]["distribution"] for t in trainings})
    names = latex.escape(" or ".join(name.capitalize() for name in distributions))
    return rf"""\begin{{tikzpicture}}[node distance=5mm and 7mm]
\node[box] (batch) {{mini-batch of\\$B$ examples}};
\node[box, right=of batch] (task) {{gradient of $L_\mathrm{{task}}$\\dropout on}};
\node[choice, right=of task] (every) {{step divisible\\by {k}?}};
\node[box, right=of every] (update) {{clip, decay,\\update}};
\node[box, below=of task] (probes) {{{m} probes $v_j$\\{names}}};
\node[box, right=of probes] (product) {{$h_j = H v_j$\\dropout off}};
\node[box, right=of product] (penalty) {{add gradient of\\
  $\frac{{\lambda}}{{B}}\,\mathrm{{mean}}_j\|h_j\|^2$}};
\draw[flow] (batch) -- (task);
\draw[flow] (task) -- (every);
\draw[flow] (every) -- node[above] {{no}} (update);
\draw[flow] (every.south) -- node[right] {{yes}} ++(0,-2mm) -| (probes.north);
\draw[flow] (probes) -- (product);
\draw[flow] (product) -- (penalty);
\draw[flow] (penalty) -| (update);
\end{{tikzpicture}}
"""


def _layers(model: dict[str, Any], classes: int) -> tuple[str, ...]:
    outputs = logits_of(classes)
    hidden = [
        rf"dense {width}, ReLU\\dropout {model['dropout']}" for width in model.get("hidden", [])
    ]
    loss = "sigmoid" if outputs == 1 else "softmax"
    return ("input", *hidden, f"dense {outputs}", rf"{loss}\\cross-entropy")


def _shared(values: list[int], symbol: str) -> str:
    distinct = set(values)
    return f"${symbol}={values[0]}$" if len(distinct) == 1 else f"${symbol}$"


if __name__ == "__main__":
    run_command(main)
