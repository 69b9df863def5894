"""The proof can fail: each typical mistake, inserted on purpose, is caught."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# Name: file of flatreg/penalty, what stands there, what the mistake writes, and the tests to fall.
MUTATIONS = {
    "a detached penalty": (
        "hutchinson.py",
        "return total / probes",
        "return jax.lax.stop_gradient(total / probes)",
        "unbiased and autodiff",
    ),
    "a detached Hessian product": (
        "estimators/autodiff.py",
        "jax.linearize(jax.grad(loss), params)[1]",
        "jax.linearize(jax.grad(loss), jax.lax.stop_gradient(params))[1]",
        "unbiased and autodiff",
    ),
    "probes summed, not averaged": (
        "hutchinson.py",
        "return total / probes",
        "return total",
        "averaged",
    ),
    "the bias column dropped": (
        "first_layer.py",
        "return products + jnp.ones_like(products) if bias else products",
        "return products",
        "unbiased and gram and wide",
    ),
    "the bias column dropped from a narrow input": (
        "estimators/gram.py",
        "jnp.concatenate([x, jnp.ones_like(x[:, :1])], axis=1) if bias else x",
        "x",
        "unbiased and gram and many",
    ),
    "1/B forgotten": ("estimators/exact.py", "/ z.shape[0] ** 2", "/ z.shape[0]", "exact_is_dense"),
    "a term of softmax's curvature forgotten": (
        "cross_entropy.py",
        "dots - cubes - cubes.T + dots**2",
        "dots - cubes - cubes.T",
        "exact_is_dense",
    ),
    "the factor's transpose forgotten": (
        "estimators/gram.py",
        "return factor.T @ first, others",
        "return factor @ first, others",
        "unbiased and gram and wide",
    ),
    "signs that repeat every word": (
        "hutchinson.py",
        "(-(-size // _WORD), 1), jnp.uint32)",
        "(1, 1), jnp.uint32).repeat(-(-size // _WORD), 0)",
        "signs",
    ),
    "a factor of the residual's products forgotten": (
        "pair_products.py",
        "(2 * paths * (back @ back.T)",
        "(paths * (back @ back.T)",
        "extreme_batches",
    ),
    "the bias left out of a later layer's products": (
        "dense_layers.py",
        "Taken(True, bias is not None)",
        "Taken(True, False)",
        "extreme_batches",
    ),
    "an example that meets itself in one sketch": (
        "estimators/pairs.py",
        "return counted + itself * (other[:, None, :, None] - 1)",
        "return counted",
        "mean_over_all_sketches",
    ),
    "a path's last slope forgotten": (
        "pair_products.py",
        "v = u * self.slopes[last - 1][:, None, :]",
        "v = u",
        "extreme_batches",
    ),
    "a residual cut off from the parameters": (
        "estimators/pairs.py",
        "back_both(root, residual)",
        "back_both(root, jax.lax.stop_gradient(residual))",
        "extreme_batches",
    ),
    "pairs of different examples over all pairs": (
        "estimators/pairs.py",
        'return total / (examples * (examples - (target == "loss")))',
        "return total / examples**2",
        "extreme_batches",
    ),
    "sketches that are not averaged": (
        "pair_products.py",
        "(examples, count, width), dtype) / math.sqrt(count)",
        "(examples, count, width), dtype)",
        "mean_over_all_sketches",
    ),
    "tr(H^2) in place of tr(H)": (
        "estimators/hessian_trace.py",
        "hutchinson.dot(v, product(v), axes)",
        "hutchinson.dot(product(v), product(v), axes)",
        "dense_trace",
    ),
    "the loss's curvature in the logits forgotten": (
        "estimators/gauss_newton.py",
        "g.back(g.curvature(g.forward(v)))",
        "g.back(g.forward(v))",
        "mean_over_all_sign_vectors_is_dense and gauss_newton",
    ),
    "a curvature in the logits that is cut off from the parameters": (
        "estimators/gauss_newton.py",
        "hessian_product(of_logits, z), back",
        "hessian_product(of_logits, jax.lax.stop_gradient(z)), back",
        "mean_over_all_sign_vectors_is_dense and gauss_newton",
    ),
    "tr(J^T J) in place of tr(G)": (
        "estimators/gauss_newton_trace.py",
        "hutchinson.dot(u, g.curvature(u), g.axes)",
        "hutchinson.dot(u, u, g.axes)",
        "mean_over_all_sign_vectors_is_dense and gauss_newton_trace",
    ),
    "one half with itself": (
        "estimators/cross_batch.py",
        "half(0), half(stride)",
        "half(0), half(0)",
        "over_all_pairs",
    ),
    "examples that both halves have": (
        "estimators/cross_batch.py",
        "leaf[start::step]",
        "leaf[start:]",
        "over_all_pairs",
    ),
    "layers in another order": (
        "layers.py",
        "list(found)",
        "list(found[::-1])",
        "rows_square",
    ),
    "a kernel that H is not taken in, with a later layer's bias": (
        "pair_products.py",
        "layers.taken[last].kernel)",
        "any(layers.taken[last]))",
        "pairs_of_some_parameters",
    ),
    "a bias that H is not taken in, with the first kernel": (
        "first_layer.py",
        "gram_matrix(x, bias=taken.bias, dtype=dtype)",
        "gram_matrix(x, bias=True, dtype=dtype)",
        "exact_of_some_parameters",
    ),
    "Hv where H^2 v is meant": (
        "hutchinson.py",
        "jnp.sum(leaf**2)",
        "jnp.sum(jnp.abs(leaf))",
        "unbiased and autodiff",
    ),
}

FILES = (
    "test_proof.py",
    "test_spread.py",
    "test_probes.py",
    "test_pairs.py",
    "test_traces.py",
    "test_gauss_newton.py",
    "test_cross_batch.py",
    "test_by_layer.py",
    "test_subset_of_layers.py",
)


def run_proof(source: Path, chosen: str) -> subprocess.CompletedProcess[str]:
    tests = [str(REPOSITORY / "tests/penalty" / name) for name in FILES]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        [*command, "-k", chosen],
        env=os.environ | {"PYTHONPATH": str(source)},
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )


def mutate(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests that must fail, on a copy of the library with one mistake."""
    file, there, mistake, chosen = MUTATIONS[name]
    shutil.copytree(REPOSITORY / "src/flatreg", folder / "flatreg")
    path = folder / "flatreg/penalty" / file
    text = path.read_text(encoding="utf-8")
    assert text.count(there) == 1, f"{name}: {file} has {text.count(there)} times: {there}"
    path.write_text(text.replace(there, mistake), encoding="utf-8")
    return run_proof(folder, chosen)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future]:
    """All mutations, two at a time, each in a process of its own with mostly one thread."""
    folders = {name: tmp_path_factory.mktemp("mutation") for name in MUTATIONS}
    with ThreadPoolExecutor(2) as pool:
        return {name: pool.submit(mutate, name, folder) for name, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_makes_the_proof_fail(name: str, outcomes: dict[str, Future]) -> None:
    done = outcomes[name].result()
    assert done.returncode == 1, done.stdout[-2000:]
    assert " failed" in done.stdout


@pytest.mark.slow
def test_without_a_mistake_the_same_tests_pass(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "src/flatreg", tmp_path / "flatreg")
    done = run_proof(
        tmp_path,
        "averaged or signs or extreme or over_all_pairs or (unbiased and wide and rademacher)",
    )
    assert done.returncode == 0, done.stdout[-2000:]
