"""The machine of a job: processor, threads, folder of compiled programs, and the facts of a run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path
from typing import Any

from flatreg import code, gpu, processor, surroundings
from flatreg.disk.scratch import scratch_folder


def describe() -> dict[str, Any]:
    """Command line, versions, platform, processor and commit of this process."""
    commit, dirty = code.commit()
    return {
        "command": [Path(sys.executable).name, *map(_beside, sys.orig_argv[1:])],
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "packages": code.versions(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": processor.name(),
        "processor_features": processor.features(),
        "cores": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE", ""),
        "other_libraries": surroundings.libraries(),
    }


def _beside(argument: str) -> str:
    """An argument as it is; an absolute path as seen from the working folder.

    Where the user keeps their files is nobody else's business, and leads nowhere elsewhere.
    """
    return os.path.relpath(argument) if Path(argument).is_absolute() else argument


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `set_up` reads."""
    parser.add_argument("--threads", type=int, required=True, help="cores to use")
    parser.add_argument("--gpus", type=int, default=0, help="1 to compute on a GPU (default: 0)")
    parser.add_argument(
        "--compiled", type=Path, help="folder of compiled programs that jobs share (default: none)"
    )


def set_up(arguments: argparse.Namespace) -> None:
    """Apply the flags of `add_flags`; must be called before the first JAX computation.

    Raises:
        UserError: a GPU is asked for, and there is none.
    """
    hold_threads(arguments.threads)
    gpu.take(arguments.gpus)
    multiply_exactly()
    if arguments.compiled is not None:
        scratch = scratch_folder()
        shared = scratch / "compiled" if scratch else arguments.compiled
        share_compilations(shared / processor.key())


def hold_threads(threads: int) -> None:
    """Limit JAX's CPU client and the BLAS libraries to `threads` threads.

    The number of threads can change the order of a sum, so it belongs to the facts of a run. JAX
    reads environment variables when it starts; loaded BLAS libraries need threadpoolctl.
    """
    import scipy.linalg  # noqa: F401  # loads the BLAS that JAX uses
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    os.environ["NPROC"] = str(threads)
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def multiply_exactly() -> None:
    """Multiply float32 matrices in float32 wherever a function does not choose otherwise.

    A GPU's faster products would move what is measured by a few parts in a thousand.
    """
    import jax  # only after the threads are limited

    jax.config.update("jax_default_matmul_precision", "highest")


def share_compilations(folder: Path) -> None:
    """Cache compiled programs in a folder, for all jobs that run the same programs.

    JAX keys a program by its operations, the compiler's version and the flags, but not by the
    processor. So each kind of processor needs its own folder.
    """
    import jax  # only after the threads are limited

    # XLA's own GPU caches would make the folder's path part of each program's key.
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
    # A job has dozens of small programs, which together take longer than the large ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
