"""tr(H^2) of samples of several sizes, against dense float64 Hessians of small models."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import sparse

from flatreg import models, tables
from flatreg.config import SamplingSettings
from flatreg.data.splits import Scaling, Split
from flatreg.measure import halves, sample_sizes
from flatreg.penalty import cross_batch
from flatreg.tables.evidence import SAMPLE_SIZES_TABLE
from tests.measure.test_closed_form import dense
from tests.studies import flatreg, small_study

LOGISTIC = {"name": "logistic_regression"}
MLP = {"name": "mlp", "dropout": 0.3, "hidden": [4, 3]}
SETTINGS = SamplingSettings(examples=(3, 4, 8, 20), pool=8, whole=9, probes=6, seed=0)


def problem(model: dict[str, Any], classes: int, *, as_sparse: bool = False) -> tuple[Any, ...]:
    """A model, its parameters, and a split of nine examples."""
    rng = np.random.default_rng(classes)
    module = models.build(model, classes)
    x = rng.normal(size=(9, 5)).astype(np.float32)
    y = rng.integers(0, classes, size=9)
    params = module.init(jax.random.key(0), x, train=False)["params"]
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    scaling = Scaling(np.float32(0), np.float32(1))
    if not as_sparse:
        scaling = Scaling(np.full(5, 0.5, np.float32), np.full(5, 2.0, np.float32))
    return module, params, Split(sparse.csr_array(x) if as_sparse else x, y, scaling)


def hessian(module: Any, params: Any, split: Split, rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    return dense(module, params, split.inputs(rows), split.y[rows])


CASES = pytest.mark.parametrize(
    ("model", "classes", "as_sparse", "exact"),
    [
        (LOGISTIC, 2, True, True),
        (LOGISTIC, 2, False, True),
        (LOGISTIC, 4, True, True),
        (MLP, 2, False, True),
        (MLP, 3, False, False),
    ],
    ids=["sparse", "logistic", "softmax", "pairs", "probes"],
)


@CASES
@pytest.mark.parametrize("size", [2, 5])
def test_products_of_the_halves_are_those_of_dense_hessians(
    model: dict[str, Any], classes: int, as_sparse: bool, exact: bool, size: int
) -> None:
    module, params, split = problem(model, classes, as_sparse=as_sparse)
    rows = np.random.default_rng(1).permutation(9)[:size][None]
    ((found, probes),) = halves.of_samples(
        module, [params], split, rows, [jax.random.key(3)], probes=400
    )
    assert (probes == 0) == exact
    a, b = (hessian(module, params, split, rows[0, start::2]) for start in (0, 1))
    whole = hessian(module, params, split, rows[0])
    for name, truth in (
        ("first", np.sum(a * a)),
        ("cross", np.sum(a * b)),
        ("second", np.sum(b * b)),
        ("square", np.sum(whole**2)),
    ):
        values = getattr(found, name)[0]
        error = 0 if exact else values.std(ddof=1) / len(values) ** 0.5
        # Rounding of the products of the halves is relative to their squares.
        size_of_it = max(np.sum(a * a), np.sum(b * b))
        assert values.mean() == pytest.approx(truth, abs=5 * error + 1e-8 * size_of_it), name


def test_blocks_of_pairs_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    module, params, split = problem(LOGISTIC, 4, as_sparse=True)
    keys = [jax.random.key(0)] * 2
    measure = partial(halves.of_samples, module, [params] * 2, split, np.arange(9)[None], keys, 2)
    whole = measure()
    monkeypatch.setattr(halves, "BLOCK", 2)
    for (one, _), (other, _) in zip(whole, measure(), strict=True):
        assert one.square == pytest.approx(other.square, rel=1e-12)
        assert one.cross == pytest.approx(other.cross, rel=1e-12)


def test_the_cross_product_by_probes_is_the_penalty_s() -> None:
    module, params, split = problem(MLP, 3)
    rows, key = np.arange(8)[None], jax.random.key(7)
    ((found, _),) = halves.of_samples(module, [params], split, rows, [key], probes=3)
    penalty = cross_batch(partial(models.loss_without_dropout, module), probes=3)
    x, y = split.inputs(rows[0]), split.y[rows[0]]
    (own,) = jax.random.split(key, 1)
    expected = float(penalty(params, x, y, key=own))
    assert found.cross.mean() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("model", "classes"), [(LOGISTIC, 4), (MLP, 2)])
def test_the_mean_over_samples_is_that_of_the_whole_and_a_spread(
    model: dict[str, Any], classes: int
) -> None:
    """E tr(H_b^2) = tr(H^2) + E ||H_b - H||_F^2 = a + b/n, over all samples of a finite split.

    Without replacement from N, b/n is S/n, the spread S is N/(N - 1) E ||H_i - H||_F^2, and
    a = tr(H^2) - S/N is the mean of tr(H_b H_c) over disjoint samples.
    """
    module, params, split = problem(model, classes)
    each = [hessian(module, params, split, [i]) for i in range(9)]
    whole = np.mean(each, axis=0)
    spread = sum(np.sum((h - whole) ** 2) for h in each) / 8
    a = np.sum(whole**2) - spread / 9
    for size in (2, 4):
        rows = np.array(list(combinations(range(9), size)))
        ((found, _),) = halves.of_samples(
            module, [params], split, rows, [jax.random.key(0)], probes=2
        )
        measured = [np.sum(np.mean([each[i] for i in sample], axis=0) ** 2) for sample in rows]
        assert found.square[:, 0] == pytest.approx(measured, rel=1e-7)
        assert found.square.mean() == pytest.approx(a + spread / size, rel=1e-9)
        if size == 2:  # all pairs of disjoint halves
            assert found.cross.mean() == pytest.approx(a, rel=1e-8)


def test_samples_of_a_size_are_disjoint_and_from_one_pool() -> None:
    some, _, _, whole = parts = sample_sizes.samplings(9, SETTINGS)
    assert [(part.rows.shape, part.probes, part.whole) for part in parts] == [
        ((2, 3), 3, False),
        ((2, 4), 3, False),
        ((1, 8), 6, False),
        ((1, 9), 6, True),
    ]
    assert len(set(some.rows.flat)) == 6
    assert set(some.rows.flat) < set(parts[2].rows.flat)
    assert list(whole.rows[0]) == list(range(9))
    assert not any(part.whole for part in sample_sizes.samplings(10, SETTINGS))
    assert len(sample_sizes.samplings(8, SETTINGS)) == 3


def test_standard_errors_are_over_samples_and_of_the_whole_over_probes() -> None:
    values = np.array([[1.0, 3.0], [5.0, 7.0]])
    products = halves.Products(values, values, values, 0.5)
    parts = sample_sizes.samplings(9, SETTINGS)
    row = sample_sizes._row(parts[0], products, 2, 9)
    assert (row["tr_h2"], row["tr_h2_stderr"]) == (4.0, pytest.approx(2.0))
    one = products._replace(first=values[:1], cross=values[:1], second=values[:1])
    row = sample_sizes._row(parts[3], one, 2, 9)
    assert (row["tr_h2"], row["tr_h2_stderr"]) == (2.0, pytest.approx(1.0))
    assert np.isnan(row["cross_batch_stderr"])
    assert sample_sizes._row(parts[3], one, 0, 9)["tr_h2_stderr"] == 0
    assert np.isnan(sample_sizes._row(parts[2], one, 2, 9)["tr_h2_stderr"])


OVERLAY = """
protocols: {stated: {datasets: {breast_cancer: {epochs: 2, inputs: standardized}}}}
sample_sizes: {protocol: stated, lambdas: ["0", "0.01"], seeds: 1, examples: [32, 100], pool: 200}
"""


@pytest.mark.slow
def test_the_command_measures_each_size_and_the_whole_split(tmp_path: Path) -> None:
    folder = small_study(tmp_path, OVERLAY)
    runs = [
        folder / f"runs/stated/breast_cancer/lambda-{lam}/seed-0/metrics.json"
        for lam in ("0", "0.01")
    ]
    shared = ["--config", folder / "config.json", "--data", folder / "data.npz", "--threads", 1]
    shared += ["--runs", *runs]
    done = flatreg("train", *shared, "--checkpoints", folder, "--checkpoint-every", 2)
    assert done.returncode == 0, done.stderr
    done = flatreg("measure.sample_sizes", *shared, "--out", folder / "sizes.csv")
    assert done.returncode == 0, done.stderr
    table = tables.read(folder / "sizes.csv", SAMPLE_SIZES_TABLE)
    for lam in ("0", "0.01"):
        rows = table[table["lambda"] == lam]
        assert list(rows["examples"]) == [32, 100, 409]
        assert list(rows["samples"]) == [6, 2, 1]
        assert (rows["probes"] == 0).all()
        assert rows["tr_h2_stderr"].iloc[-1] == 0
        assert rows["tr_h2"].is_monotonic_decreasing
