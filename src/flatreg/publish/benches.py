"""The tables of what the benchmarks measured, in Markdown."""

from __future__ import annotations

from typing import Any

from flatreg import labels
from flatreg.errors import UserError

# Ends the name of a way that is applied in every tenth step.
TENTH = ", every 10th"


def cost(bench: dict[str, Any]) -> str:
    """One row per way to compute the penalty, one column per network: each step / every 10th.

    Raises:
        UserError: the bench does not say what its ways are.
    """
    if "about" not in bench:
        raise UserError("cost.json does not say what each way is; type: make bench")
    networks = bench["networks"]
    ways = dict.fromkeys(way for network in networks.values() for way in network["ways"])
    head = ["way", "what it is", *map(labels.dataset, networks), "working memory, CIFAR-100"]
    rows = [head, ["---"] * len(head)]
    for way in ways:
        if way.endswith("plain"):
            continue
        cells = [_ratios(network["ways"].get(way)) for network in networks.values()]
        memory = networks["cifar100"]["working_bytes"].get(way)
        cells.append("" if memory is None else f"{memory / 1e6:.0f} MB")
        rows.append([way, bench["about"][way], *cells])
    facts = bench["facts"]
    return f"{_markdown(rows)}\nMedians of {facts['rounds']} rounds. {_machine(facts)}\n"


def _ratios(times: dict[str, float] | None) -> str:
    return "" if times is None else f"{times['ratio']:.2f} / {times['ratio_interval']:.2f}"


def _machine(facts: dict[str, Any], packages: tuple[str, ...] = ("jax", "optax", "matfree")) -> str:
    """A line about where a benchmark ran; threads are those of the machine if it held none."""
    processors = f"{facts['threads']} threads" if "threads" in facts else f"{facts['cores']} cores"
    where = f"{facts['processor']}, {processors}, {_versions(facts, packages)}"
    return f"{where}; commit {facts['commit'][:10]}."


def _versions(facts: dict[str, Any], packages: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {facts['packages'][name]}" for name in packages)


def frontier(measured: dict[str, Any]) -> str:
    """A table per network, with one row per way to compute the penalty: its time and spreads.

    A time is that of a step relative to a plain step, with the penalty in every step / in every
    tenth. A spread is written at initial / at trained parameters.
    """
    tables = [_frontier_of(name, measured) for name in measured["times"]]
    return "\n".join(tables) + f"\n{_machine(measured['facts']['times'])}\n"


def _frontier_of(name: str, measured: dict[str, Any]) -> str:
    """The table of one network."""
    times, spreads = measured["times"][name], measured["spreads"][name]["ways"]
    head = [labels.network(name), "of", "step", "spread, batch given", "spread, batch drawn"]
    rows = [head, ["---"] * len(head), ["SAM", "", _ratios(times["SAM"]), "", ""]]
    rows += [
        [way, _trace(measured["ways"][way]), *_precision(times[way], spreads[way])]
        for way in times
        if way in spreads
    ]
    return _markdown(rows)


def _trace(target: str) -> str:
    """What a way estimates, such as "tr(H_b^2)", with a raised 2."""
    return target.replace("^2", "²")


def _precision(times: dict[str, float], states: dict[str, Any]) -> list[str]:
    """The time of a way's step, and its spreads at initial / at trained parameters."""
    cells = [_ratios(times)]
    for kind in ("given", "drawn"):
        spreads = [states[state][kind]["spread"] for state in ("initial", "trained")]
        cells.append(" / ".join(_spread(spread) for spread in spreads))
    return cells


def _spread(value: float) -> str:
    """Two digits; what is left of none by rounding is 0."""
    if value < 1e-3:
        return "0"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def blas(measured: dict[str, Any]) -> str:
    """One row per way to hold BLAS, one column per size of the mini-batch: over the plain step."""
    sizes = measured["batch"]
    ways = [way for way in next(iter(sizes.values())) if way != "plain"]
    rows = [["examples in a mini-batch", *sizes], ["---"] * (1 + len(sizes))]
    rows += [[way, *(f"{size[way]['ratio']:.2f}" for size in sizes.values())] for way in ways]
    return f"{_markdown(rows)}\n{_machine(measured['facts'], ('jax', 'scipy'))}\n"


def gpu(measured: dict[str, Any]) -> str:
    """One row per way to compute the penalty: its time over the plain step, and its errors."""
    times, errors = measured["steps"]["found"], measured["checks"]["found"]
    head = ["", "step", "compile (s)", "error, TF32", "error, float32"]
    rows = [head, ["---"] * len(head)]
    for way, time in times.items():
        if way == "plain" or way.endswith(TENTH):
            continue
        tenth = times.get(f"{way}{TENTH}")
        ratio = f"{time['ratio']:.2f}" + (f" / {tenth['ratio']:.2f}" if tenth else "")
        both = [_worst(errors, way, precision) for precision in ("default", "highest")]
        rows.append([way, ratio, f"{time['compile_seconds']:.0f}", *both])
    facts = measured["steps"]["facts"]
    table = f"{_markdown(rows)}\n{facts['device']}, {_versions(facts, ('jax', 'optax'))}."
    plain = f"A plain step takes {times['plain']['microseconds']:.0f} µs."
    return f"{table} {plain} {_epochs(measured['lanes']['found'])}\n"


def _epochs(lanes: dict[str, Any]) -> str:
    """The time of an epoch of the study's training, by the number of trainings side by side."""
    each = [f"{found['seconds_per_epoch']:.2g} s of {number}" for number, found in lanes.items()]
    return f"An epoch of the study's trainings side by side takes {', '.join(each)}."


def _worst(errors: dict[str, Any], way: str, precision: str) -> str:
    """The largest relative error of a way's gradient at a precision, over the sizes of inputs."""
    own = [
        row["gradient"] for name, row in errors.items() if name.startswith(f"{way}, {precision},")
    ]
    return f"{max(own):.0e}" if own else ""


def _markdown(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
