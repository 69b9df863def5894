"""The machine that a job runs on: processor, threads, compiled programs, and the facts of a run."""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

from flatreg import code

# Names a folder of a cluster node's own disk.
SCRATCH = "FLATREG_SCRATCH"
VECTOR_INSTRUCTIONS = ("amx", "asimd", "avx", "f16c", "fma", "sse", "sve")


def describe() -> dict[str, Any]:
    """Versions, platform, processor and commit, as they are now."""
    commit, dirty = code.commit()
    return {
        "command": [Path(sys.executable).name, *sys.orig_argv[1:]],
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "packages": code.versions(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "processor_features": processor_features(),
        "cores": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "openblas_coretype": os.environ.get("OPENBLAS_CORETYPE", ""),
    }


def processor_features() -> list[str]:
    """The vector instructions that decide how compiled sums round; none where unknown."""
    words = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return sorted(word for word in words if word.startswith(VECTOR_INSTRUCTIONS))


def processor_key() -> str:
    """A name for the kind of processor: programs compiled for one may not run on another."""
    kind = [platform.machine(), _processor(), *processor_features()]
    return hashlib.sha256(" ".join(kind).encode()).hexdigest()[:12]


def _processor() -> str:
    """The processor's name as the system gives it."""
    return _cpuinfo("model name") or platform.processor()


def _cpuinfo(field: str) -> str:
    """A field of Linux's first processor, empty where there is none."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""


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
        here = scratch_folder()
        shared = here / "compiled" if here else arguments.compiled
        share_compilations(shared / processor_key())


def environment() -> dict[str, str]:
    """Variables for a job's process, as its libraries read them when they are loaded.

    OpenBLAS, to which JAX hands decompositions, has kernels for each kind of processor, which
    round differently, and takes those that the environment or the processor calls for. Ours are
    those of AVX2 wherever they can run, so that a run rounds alike on all of a cluster's nodes.
    """
    return {"OPENBLAS_CORETYPE": "Haswell"} if "avx2" in processor_features() else {}


def scratch_folder() -> Path | None:
    """The folder of this node's own disk that FLATREG_SCRATCH names, None where it is not set.

    It may hold other variables, which are read on the node: `$TMPDIR/flatreg`.
    """
    named = os.environ.get(SCRATCH)
    return Path(os.path.expandvars(named)) if named else None


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
