"""Correlations of flatness with generalization, against scipy and plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flatreg.errors import UserError
from flatreg.evidence import correlation, generalization


def study(seed: int = 0, seeds: int = 5) -> pd.DataFrame:
    """Two protocols, two data sets, three lambdas; y falls with lambda and varies by seed."""
    rng = np.random.default_rng(seed)
    cells = itertools.product(["a", "b"], ["one", "two"], ["0", "0.1", "1"], range(seeds))
    rows = pd.DataFrame(list(cells), columns=["protocol", "dataset", "lambda", "seed"])
    strength = rows["lambda"].astype(float)
    by_seed = rng.normal(size=seeds)[rows["seed"]]
    rows["x"] = -strength + 0.5 * rng.normal(size=len(rows)) + by_seed
    rows["y"] = strength + 0.5 * rng.normal(size=len(rows)) - by_seed
    return rows


def signs(frame: pd.DataFrame) -> float:
    """Kendall's tau of numbers without ties, by counting pairs (Jiang et al. 2020, section 3.1)."""
    pairs = itertools.combinations(frame[["x", "y"]].to_numpy(), 2)
    found = [np.sign(a[0] - b[0]) * np.sign(a[1] - b[1]) for a, b in pairs]
    return float(np.mean(found))


def test_tau_counts_pairs() -> None:
    runs = study()
    assert correlation.tau(runs, "x", "y", correlation.NOTHING) == pytest.approx(
        signs(runs), abs=1e-12
    )


@pytest.mark.parametrize("n", [2, 7, 300])
def test_tau_with_ties_is_scipy_s(n: int) -> None:
    values = np.random.default_rng(n).integers(0, 20, (n, 2))
    values[0], values[-1] = (0, 1), (3, 0)
    runs = pd.DataFrame(values, columns=["x", "y"])
    expected = stats.kendalltau(runs["x"], runs["y"]).statistic
    assert correlation.tau(runs, "x", "y", correlation.NOTHING) == expected


def test_partial_tau_is_the_mean_over_cells() -> None:
    runs = study()
    cells = [signs(cell) for _, cell in runs.groupby(["protocol", "dataset", "lambda"])]
    assert correlation.tau(runs, "x", "y", correlation.CELL) == pytest.approx(
        np.mean(cells), abs=1e-12
    )


def test_granulated_tau_lets_one_hyperparameter_vary_at_a_time() -> None:
    runs = study()
    by_lambda = [
        signs(runs[(runs["protocol"] == p) & (runs["dataset"] == d) & (runs["seed"] == s)])
        for p, d, s in itertools.product("ab", ["one", "two"], range(5))
    ]
    by_protocol = [
        signs(runs[(runs["lambda"] == lam) & (runs["dataset"] == d) & (runs["seed"] == s)])
        for lam, d, s in itertools.product(["0", "0.1", "1"], ["one", "two"], range(5))
    ]
    expected = (np.mean(by_lambda) + np.mean(by_protocol)) / 2
    assert correlation.granulated_tau(runs, "x", "y") == pytest.approx(expected, abs=1e-12)


def test_a_column_that_does_not_vary_has_no_tau() -> None:
    runs = study().assign(x=1.0)
    assert np.isnan(correlation.tau(runs, "x", "y", correlation.NOTHING))
    assert np.isnan(correlation.tau(runs, "x", "y", correlation.CELL))
    assert np.isnan(correlation.granulated_tau(runs, "x", "y"))


def test_pseudo_values_leave_out_one_seed_of_one_data_set_each() -> None:
    runs = study()
    values = correlation.pseudo_values(runs, "x", "y", correlation.NOTHING)
    assert len(values) == 2 * 5
    left = runs[~((runs["dataset"] == "one") & (runs["seed"] == 2))]
    expected = 10 * signs(runs) - 9 * signs(left)
    assert values[2] == pytest.approx(expected, abs=1e-12)
    partial = correlation.pseudo_values(runs, "x", "y", correlation.CELL)
    whole, without = (
        np.mean([signs(cell) for _, cell in some.groupby(["protocol", "dataset", "lambda"])])
        for some in (runs, left)
    )
    assert partial[2] == pytest.approx(10 * whole - 9 * without, abs=1e-12)
    assert len(correlation.pseudo_values(study(seeds=1), "x", "y", correlation.NOTHING)) == 0


def test_the_interval_of_tau_covers_it_where_runs_of_a_seed_belong_together() -> None:
    """300 studies of ten seeds; runs of a seed share a draw, so they are not independent."""
    one = [study(seed, 10).query("protocol == 'a' and dataset == 'one'") for seed in range(300)]
    truth = np.mean([signs(runs) for runs in one])
    covered = 0
    for runs in one:
        values = correlation.pseudo_values(runs, "x", "y", correlation.NOTHING)
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        covered += low <= truth <= high
    assert covered / 300 > 0.9


def test_partial_tau_is_the_correlation_of_agreeing_with_the_third() -> None:
    """Kendall's own table: of all pairs of runs, whether x and whether y order them as z does."""
    runs = study().assign(
        z=lambda rows: rows["y"] + np.random.default_rng(2).normal(size=len(rows))
    )

    def counted(frame: pd.DataFrame) -> float:
        pairs = itertools.combinations(frame[["x", "y", "z"]].to_numpy(), 2)
        x, y = np.array([np.sign(a - b)[:2] == np.sign(a - b)[2] for a, b in pairs]).T
        return float(np.corrcoef(x, y)[0, 1])

    values = correlation.partial_pseudo_values(runs, "x", "y", "z")
    left = runs[~((runs["dataset"] == "one") & (runs["seed"] == 2))]
    assert values[2] == pytest.approx(10 * counted(runs) - 9 * counted(left), abs=1e-9)


def test_what_follows_from_the_third_has_no_partial_tau() -> None:
    runs = study().assign(z=lambda rows: rows["y"])
    values = correlation.partial_pseudo_values(runs, "x", "y", "z")
    assert np.all(values == 0)
    noise = np.random.default_rng(3).normal(size=(2, len(runs)))
    runs = runs.assign(x=runs["z"] + noise[0], y=runs["z"] + noise[1])
    plain = correlation.pseudo_values(runs, "x", "y", correlation.NOTHING).mean()
    assert abs(correlation.partial_pseudo_values(runs, "x", "y", "z").mean()) < 0.3 * plain


def test_a_run_without_measures_is_named() -> None:
    runs = study().assign(key=lambda r: [f"k{i}" for i in range(len(r))], status="completed")
    flatness = pd.DataFrame({"key": runs["key"][1:], "measure": "sam", "value": 1.0})
    with pytest.raises(UserError, match=r"run k0 is in only one of metrics\.csv and flatness\.csv"):
        generalization.check_runs(runs, flatness)
    diverged = runs.assign(status=["diverged", *["completed"] * (len(runs) - 1)])
    generalization.check_runs(diverged, flatness)


def test_scopes_are_all_each_data_set_and_each_main_protocol() -> None:
    found = [(p, d, len(r)) for p, d, r in generalization.scopes(study(), ["b"])]
    assert found == [
        ("all", "all", 60),
        *[("all", "one", 30), ("all", "two", 30)],
        *[("b", "one", 15), ("b", "two", 15)],
    ]


def test_a_row_has_the_numbers_of_its_scope() -> None:
    runs = study().assign(status="completed", test_accuracy=lambda r: r["y"])
    runs[["accuracy_gap", "loss_gap"]] = np.nan
    runs["train_accuracy"] = np.random.default_rng(1).normal(size=len(runs))
    done = generalization.correlate(runs, {"x": "flatness"}, ["b"], 0.05)
    row = done[(done["protocol"] == "b") & (done["dataset"] == "two")].set_index("target")
    chosen = runs[(runs["protocol"] == "b") & (runs["dataset"] == "two")]
    values = correlation.pseudo_values(chosen, "x", "y", correlation.NOTHING)
    mean = np.mean(values)
    error = stats.sem(values) / (1 - mean**2)  # of Fisher's z
    low, high = np.tanh(stats.t.interval(0.95, len(values) - 1, np.arctanh(mean), error))
    p = 2 * stats.t.sf(abs(np.arctanh(mean)) / error, len(values) - 1)
    first = row.loc["test_accuracy"]
    np.testing.assert_allclose(
        [first["tau"], first["low"], first["high"], first["p"]],
        [mean, low, high, p],
        rtol=1e-10,
    )
    assert first["n"] == 15
    given = correlation.partial_pseudo_values(chosen, "x", "y", "train_accuracy")
    assert first["fit_tau"] == pytest.approx(np.mean(given), rel=1e-10)
    assert row.loc["loss_gap", "n"] == 0
    assert np.isnan(row.loc["loss_gap", "tau"])
    assert row.loc["loss_gap", "note"]


def test_the_last_epoch_s_measures_go_with_its_own_targets() -> None:
    runs = study().assign(status="completed", test_accuracy=lambda r: r["y"])
    runs["train_accuracy"] = np.random.default_rng(1).normal(size=len(runs))
    runs[["accuracy_gap", "loss_gap"]] = 0.0
    kept = generalization.correlate(runs, {"x": "flatness"}, [], 0.05)
    renamed = set(runs) - {"protocol", "dataset", "lambda", "seed", "status"}
    last = runs.rename(columns={name: f"last_{name}" for name in renamed})
    found = generalization.correlate(last, {"last_x": "flatness"}, [], 0.05)
    assert set(found["target"]) == {"last_test_accuracy", "last_accuracy_gap", "last_loss_gap"}
    numbers = ["tau", "low", "high", "partial_tau", "fit_tau", "fit_low"]
    pd.testing.assert_frame_equal(found[numbers], kept[numbers])
    own = generalization.correlate(last, {"last_train_accuracy": "rival"}, [], 0.05)
    assert own["fit_tau"].isna().all()
