"""Flow charts drawn from the config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flatreg import command, labels
from flatreg.config import main_protocols
from flatreg.disk.files import read_json, write_checked_text
from flatreg.models import logits_of
from flatreg.paper import latex, provenance
from flatreg.paper.provenance import Fact, Printed


def main() -> None:
    """Write the flow charts of the models and of a training step, with provenance."""
    parser = command.Parser(__spec__, __doc__)
    parser.add_inputs("config")
    parser.add_argument("--manifests", type=Path, required=True, nargs="+")
    parser.add_argument("--models", type=Path, required=True, help="the models' chart (.tex)")
    parser.add_argument("--step", type=Path, required=True, help="the training step's chart (.tex)")
    arguments = parser.parse_args()
    study = read_json(arguments.config)
    file = arguments.config.as_posix()
    manifests = {m["source"]: (m, p) for p in arguments.manifests for m in [read_json(p)]}
    classes = {
        source: Fact(m["classes"], "classes of the data set", [], [path.as_posix()])
        for source, (m, path) in manifests.items()
    }
    models, step = models_chart(study, classes, file), step_chart(study, file)
    for path, chart in ((arguments.models, models), (arguments.step, step)):
        write_checked_text(path, chart.text)
        provenance.write(path, chart.items)


def models_chart(study: dict[str, Any], classes: dict[str, Fact], file: str) -> Printed:
    """Draw one row of boxes per data set, from input to loss.

    Data sets with the same model share a row; a data set whose model differs between the main
    protocols has several.

    Args:
        study: completed config.
        classes: number of classes, by source.
        file: path that the config was read from.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    boxes: dict[tuple[str, ...], list[Printed | str]] = {}
    for protocol_name in main_protocols(study):
        for name, training in study["protocols"][protocol_name]["datasets"].items():
            place = f"flow_models/{protocol_name}/{name}"
            layers = _layers(place, training["model"], classes[training["source"]], file)
            key = tuple(provenance.join([layer]).text for layer in layers)
            boxes.setdefault(key, layers)
            titles = rows.setdefault(key, [])
            if labels.dataset(name) not in titles:
                titles.append(labels.dataset(name))
    lines: list[Printed | str] = [r"\begin{tikzpicture}[node distance=3mm]"]
    for number, (key, titles) in enumerate(rows.items()):
        start = rf"\node[title] (t{number}) at (0,{-1.25 * number}) "
        lines.append(start + rf"{{{latex.escape(', '.join(titles))}}};")
        before = f"t{number}"
        for index, box in enumerate(boxes[key]):
            name = f"b{number}x{index}"
            lines.append(
                provenance.join([rf"\node[box, right=of {before}] ({name}) {{", box, "};"])
            )
            if index:
                lines.append(rf"\draw[flow] ({before}) -- ({name});")
            before = name
    return provenance.join([*lines, r"\end{tikzpicture}", ""], "\n")


def step_chart(study: dict[str, Any], file: str) -> Printed:
    """Draw one training step, with numbers that all trainings share and symbols for the others.

    Args:
        study: completed config.
        file: path that the config was read from.
    """
    protocols = [study["protocols"][name] for name in main_protocols(study)]
    trainings = [d for protocol in protocols for d in protocol["datasets"].values()]
    k = _shared([t["penalty"]["interval"] for t in trainings], "k", "interval", file)
    m = _shared([t["penalty"]["probes"] for t in trainings], "M", "probes", file)
    distributions = sorted({t["penalty"]["distribution"] for t in trainings})
    names = latex.escape(" or ".join(name.capitalize() for name in distributions))
    return provenance.join(
        [
            r"""\begin{tikzpicture}[node distance=5mm and 7mm]
\node[box] (batch) {mini-batch of\\$B$ examples};
\node[box, right=of batch] (task) {gradient of $L_\mathrm{task}$\\dropout on};
\node[choice, right=of task] (every) {step divisible\\by """,
            k,
            r"""?};
\node[box, right=of every] (update) {clip, decay,\\update};
\node[box, below=of task] (probes) {""",
            m,
            rf""" probes $v_j$\\{names}}};
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
""",
        ]
    )


def _layers(place: str, model: dict[str, Any], classes: Fact, file: str) -> list[Printed | str]:
    """The boxes of a model's layers, each with its numbers."""
    boxes: list[Printed | str] = ["input"]
    for index, width in enumerate(model.get("hidden", [])):
        units = Fact(width, "units of a hidden layer, as the config says", [], [file])
        dropout = Fact(model["dropout"], "share dropped out, as the config says", [], [file])
        parts = [
            *("dense ", provenance.printed(f"{place}/hidden/{index}", units, str(width))),
            ", ReLU\\\\dropout ",
            provenance.printed(f"{place}/dropout", dropout, str(model["dropout"])),
        ]
        boxes.append(provenance.join(parts))
    outputs = logits_of(classes.value)
    logits = classes._replace(value=outputs, statistic=f"logits of the {classes.statistic}")
    last = provenance.printed(f"{place}/logits", logits, str(outputs))
    loss = "sigmoid" if outputs == 1 else "softmax"
    return [*boxes, provenance.join(["dense ", last]), rf"{loss}\\cross-entropy"]


def _shared(values: list[int], symbol: str, name: str, file: str) -> Printed | str:
    if len(set(values)) > 1:
        return f"${symbol}$"
    fact = Fact(values[0], f"penalty.{name} of all trainings, as the config says", [], [file])
    value = provenance.printed(f"flow_step/{name}", fact, str(values[0]))
    return provenance.join([f"${symbol}=", value, "$"])


if __name__ == "__main__":
    command.run(main)
