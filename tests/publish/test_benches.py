"""The tables of what the benchmarks measured."""

from __future__ import annotations

import pytest

from flatreg.errors import UserError
from flatreg.publish import benches


def test_a_bench_that_does_not_say_what_its_ways_are_is_one_line():
    with pytest.raises(UserError, match="does not say what each way is; type: make bench"):
        benches.cost({"networks": {}})


def test_the_cost_has_a_row_a_way_and_a_column_a_network():
    def network(**ratios):
        ways = {way: {"ratio": r, "ratio_interval": (9 + r) / 10} for way, r in ratios.items()}
        return {"ways": ways, "working_bytes": {"gram": 12_300_000}}

    facts = {"processor": "A chip", "threads": 2, "commit": "0123456789abcdef"}
    facts |= {"rounds": 15, "packages": {"jax": "1", "optax": "2", "matfree": "3"}}
    about = {"gram": "ours", "exact": "ours, of one layer", "plain": "no penalty"}
    networks = {"cifar100": network(plain=1.0, gram=3.7), "imdb_reviews": network(exact=1.5)}
    bench = {"facts": facts, "about": about, "networks": networks}
    assert benches.cost(bench).splitlines() == [
        "| way | what it is | CIFAR-100 | IMDB | working memory, CIFAR-100 |",
        "| --- | --- | --- | --- | --- |",
        "| gram | ours | 3.70 / 1.27 |  | 12 MB |",
        "| exact | ours, of one layer |  | 1.50 / 1.05 |  |",
        "",
        "Medians of 15 rounds. A chip, 2 threads, jax 1, optax 2, matfree 3; commit 0123456789.",
    ]


def test_the_precision_has_a_table_a_network_and_a_row_a_way():
    def times(ratio, *ways):
        row = {"ratio": ratio, "ratio_interval": (9 + ratio) / 10}
        return dict.fromkeys(("plain", "SAM", *ways), row)

    def spreads(**ways):
        states = {
            way: {
                state: {"given": {"spread": s}, "drawn": {"spread": 30 * s}}
                for state, s in zip(("initial", "trained"), both, strict=True)
            }
            for way, both in ways.items()
        }
        return {"ways": states}

    facts = {"processor": "A chip", "threads": 2, "commit": "0123456789abcdef"}
    facts["packages"] = {"jax": "1", "optax": "2", "matfree": "3"}
    contents = {
        "facts": {"times": facts},
        "ways": {"gram": "tr(H_b^2)", "pairs": "tr(G^2)"},
        "times": {"cifar100": times(2.2, "gram", "pairs"), "cnn": times(1.5, "gram")},
        "spreads": {
            "cifar100": spreads(gram=(0.246, 1.5), pairs=(-1e-9, 0.0009)),
            "cnn": spreads(gram=(1, 2)),
        },
    }
    assert benches.frontier(contents).splitlines() == [
        "| CIFAR-100, dense | of | step | spread, batch given | spread, batch drawn |",
        "| --- | --- | --- | --- | --- |",
        "| SAM |  | 2.20 / 1.12 |  |  |",
        "| gram | tr(H_b²) | 2.20 / 1.12 | 0.25 / 1.5 | 7.4 / 45 |",
        "| pairs | tr(G²) | 2.20 / 1.12 | 0 / 0 | 0 / 0.027 |",
        "",
        "| CIFAR-100, CNN | of | step | spread, batch given | spread, batch drawn |",
        "| --- | --- | --- | --- | --- |",
        "| SAM |  | 1.50 / 1.05 |  |  |",
        "| gram | tr(H_b²) | 1.50 / 1.05 | 1 / 2 | 30 / 60 |",
        "",
        "A chip, 2 threads, jax 1, optax 2, matfree 3; commit 0123456789.",
    ]


def test_the_threads_of_blas_have_a_column_a_mini_batch():
    facts = {"processor": "A chip", "cores": 2, "commit": "0123456789abcdef"}
    facts["packages"] = {"jax": "1", "scipy": "2"}
    size = {"plain": {"ratio": 1.0}, "gram": {"ratio": 9.0}, "gram, held": {"ratio": 4.5}}
    assert benches.blas({"facts": facts, "batch": {"256": size, "512": size}}).splitlines() == [
        "| examples in a mini-batch | 256 | 512 |",
        "| --- | --- | --- |",
        "| gram | 9.00 | 9.00 |",
        "| gram, held | 4.50 | 4.50 |",
        "",
        "A chip, 2 cores, jax 1, scipy 2; commit 0123456789.",
    ]


def test_a_gpu_has_a_row_a_way_with_its_largest_error():
    facts = {"device": "A card", "packages": {"jax": "1", "optax": "2"}}
    steps = {
        "plain": {"ratio": 1.0, "compile_seconds": 1.0, "microseconds": 57.2},
        "SAM": {"ratio": 2.0, "compile_seconds": 1.2},
        "pairs": {"ratio": 4.0, "compile_seconds": 11.3},
        "pairs, every 10th": {"ratio": 1.4, "compile_seconds": 9.0},
    }
    checks = {
        "pairs, default, inputs of 1": {"value": 1.0, "gradient": 2e-4},
        "pairs, default, inputs of 1000": {"value": 1.0, "gradient": 7e-4},
        "pairs, highest, inputs of 1": {"value": 1.0, "gradient": 3e-7},
    }
    lanes = {"1": {"seconds_per_epoch": 0.094}, "50": {"seconds_per_epoch": 0.576}}
    measured = {"steps": {"facts": facts, "found": steps}, "checks": {"found": checks}}
    measured |= {"lanes": {"found": lanes}}
    assert benches.gpu(measured).splitlines()[2:] == [
        "| SAM | 2.00 | 1 |  |  |",
        "| pairs | 4.00 / 1.40 | 11 | 7e-04 | 3e-07 |",
        "",
        "A card, jax 1, optax 2. A plain step takes 57 µs. An epoch of the study's"
        " trainings side by side takes 0.094 s of 1, 0.58 s of 50.",
    ]
