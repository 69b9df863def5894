"""What around a command may reach a number or a byte of its results, and how it is kept away.

Every variable of the environment that JAX, XLA, BLAS, Python, LaTeX, Matplotlib, Jupyter or Bash
read is left out, unless it is known to be harmless. A study and each of its commands start without
them. What else a user's machine brings is kept away where it would be read: settings of Matplotlib
in `flatreg.figures.style`, of LaTeX in `flatreg.paper.compile`, of Jupyter in
`flatreg.explore.notebook`, of git in `flatreg.code`. Language and time zone reach nothing; tests
show it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from flatreg import processor

# Variables that begin with one of these can change how numbers are computed or figures drawn.
LEFT_OUT = (
    *("JAX", "CHECK_VMA", "EAGER_CONSTANT_FOLDING", "MOCK_NUM_GPU", "ENABLE_PJRT"),
    *("XLA_", "LIBTPU_", "TF_XLA_", "NVIDIA_TF32", "CUBLAS_", "CUDNN_"),
    *("OPENBLAS_", "GOTO_", "OMP_", "MKL_", "BLIS_", "VECLIB_"),
    *("PYTHON", "NPY_", "MPL", "MATPLOTLIB"),
    *("TEX", "BIBINPUTS", "BSTINPUTS", "LATEXMK"),
    *("JUPYTER_", "IPYTHON"),
    *("BASH_ENV", "BASHOPTS", "SHELLOPTS", "CDPATH", "POSIXLY_CORRECT"),
)
# They tell more, find files, or divide memory.
HARMLESS = (
    *("JAX_LOG", "JAX_DEBUG_LOG_MODULES", "JAX_EXPLAIN_CACHE_MISSES", "JAX_TRACEBACK"),
    *("XLA_FLAGS", "XLA_PYTHON_CLIENT_"),
    *("PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONFAULTHANDLER", "PYTHONDONTWRITEBYTECODE"),
    *("PYTHONPYCACHEPREFIX", "PYTHONUTF8", "PYTHONCOERCECLOCALE", "PYTHONHASHSEED", "PYTHONHOME"),
    *("MPLCONFIGDIR", "MPLBACKEND"),
)
# Of XLA's flags, those that may stay.
HARMLESS_FLAGS = ("--xla_gpu_cuda_data_dir=", "--xla_dump_", "--xla_hlo_profile")


def held(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables with which a command computes the same numbers on every user's account.

    JAX uses OpenBLAS for decompositions. OpenBLAS has kernels for each kind of processor, which
    round differently. Wherever they can run, the AVX2 kernels are selected, so that a run rounds
    the same on all nodes of a cluster.
    """
    kept = {name: value for name, value in environment.items() if not _is_left_out(name)}
    if flags := kept.pop("XLA_FLAGS", ""):
        stay = [flag for flag in flags.split() if flag.startswith(HARMLESS_FLAGS)]
        kept |= {"XLA_FLAGS": " ".join(stay)} if stay else {}
    return kept | ({"OPENBLAS_CORETYPE": "Haswell"} if "avx2" in processor.features() else {})


def left_out(environment: Mapping[str, str]) -> list[str]:
    """The names of the variables that `held` leaves out or changes."""
    kept = held(environment)
    return sorted(name for name in environment if kept.get(name) != environment[name])


def hold() -> str | None:
    """Change the variables of this process and of those that it starts.

    Returns:
        One line that names what was left out, if there was anything.
    """
    names, kept = left_out(os.environ), held(os.environ)
    os.environ.clear()
    os.environ.update(kept)
    return _said(names) if names else None


def begin_again() -> None:
    """Start this command anew if it began with other variables than those of `held`."""
    kept = held(os.environ)
    if kept == dict(os.environ):
        return
    if names := left_out(os.environ):
        print(_said(names), file=sys.stderr, flush=True)
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)


def _said(names: list[str]) -> str:
    return f"left out, because they could change results: {', '.join(names)}"


def _is_left_out(name: str) -> bool:
    return name.startswith(LEFT_OUT) and not name.startswith(HARMLESS)
