"""Sparse matrices as arrays of a prepared data set.

They have a module of their own because readers of dense arrays need not wait for scipy.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse


def csr_arrays(prefix: str, matrix: sparse.csr_array) -> dict[str, np.ndarray]:
    """A CSR matrix as named arrays."""
    return {
        f"{prefix}_data": matrix.data,
        f"{prefix}_indices": matrix.indices.astype(np.int32),
        f"{prefix}_indptr": matrix.indptr.astype(np.int64),
        f"{prefix}_shape": np.array(matrix.shape, dtype=np.int64),
    }


def read_csr(arrays: dict[str, np.ndarray], prefix: str) -> sparse.csr_array:
    """The CSR matrix from the arrays of `csr_arrays`."""
    parts = (arrays[f"{prefix}_{name}"] for name in ("data", "indices", "indptr"))
    return sparse.csr_array(tuple(parts), shape=tuple(arrays[f"{prefix}_shape"]))
