"""What a job sets before JAX starts."""

from __future__ import annotations

import os
from pathlib import Path


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


def share_compilations(folder: Path) -> None:
    """Keep compiled programs in a folder, from which jobs that run the same take them.

    A program is keyed by its operations, the compiler's version and its flags; it is the same
    whether it was compiled here or by another job of this machine.
    """
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
