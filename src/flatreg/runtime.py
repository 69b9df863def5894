"""What a job sets before JAX starts."""

from __future__ import annotations

import os


def hold_threads(threads: int) -> None:
    """Hold JAX's CPU client and the BLAS libraries to `threads` threads.

    Call it before the first JAX computation: the client reads these once. The number of
    threads can change the order of a sum, so a run's is part of how it is made.
    """
    os.environ["NPROC"] = str(threads)
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(threads)
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
