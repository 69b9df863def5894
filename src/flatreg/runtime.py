"""What a job that computes with JAX sets before JAX starts, or is given before it starts itself."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from flatreg import facts, scratch


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Name on a command line what `set_up` reads."""
    parser.add_argument("--threads", type=int, required=True, help="cores to use")
    parser.add_argument(
        "--compiled", type=Path, help="folder of compiled programs that jobs share; none without"
    )


def set_up(arguments: argparse.Namespace) -> None:
    """Do what the flags of `add_flags` ask for; call it before the first JAX computation."""
    hold_threads(arguments.threads)
    if arguments.compiled is not None:
        here = scratch.folder()
        shared = here / "compiled" if here else arguments.compiled
        share_compilations(shared / facts.processor_key())


def environment() -> dict[str, str]:
    """Variables for a job's process, as its libraries read them when they are loaded.

    OpenBLAS, to which JAX hands decompositions, has kernels for each kind of processor, which
    round differently, and takes those that the environment or the processor calls for. Ours are
    those of AVX2 wherever they can run, so that a run rounds alike on all of a cluster's nodes.
    """
    return {"OPENBLAS_CORETYPE": "Haswell"} if "avx2" in facts.processor_features() else {}


def hold_threads(threads: int) -> None:
    """Hold JAX's CPU client and the BLAS libraries to `threads` threads.

    JAX reads its variables once; BLAS libraries are loaded by then, and are told. The number of
    threads can change the order of a sum, so a run's is part of how it is made.
    """
    import scipy.linalg  # noqa: F401  # JAX calls the BLAS of this one
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    os.environ["NPROC"] = str(threads)
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def share_compilations(folder: Path) -> None:
    """Keep compiled programs in a folder, from which jobs that run the same take them.

    A program is keyed by its operations, the compiler's version and its flags, but not by the
    processor that it is for: each kind needs a folder of its own.
    """
    import jax  # not before the threads are held

    # XLA's own caches, of GPUs, would make the folder's path a part of each program's key.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
