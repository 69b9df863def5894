"""What around a command may reach a number or a byte of its results, and how it is kept away.

A variable of the environment that a library, a compiler, LaTeX, Jupyter, Bash or git reads is left
out, unless it is known to be harmless. Those that only log are not: a notebook shows what is
logged. A study and each of its commands start without them. What else a user's machine brings is
kept away where it would be read: settings and fonts of Matplotlib in `flatreg.figures.style`, files
of TeX in `flatreg.paper.compile`, of Jupyter in `flatreg.explore.notebook`. Language and time zone
reach nothing; tests show it.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from flatreg import processor
from flatreg.errors import UserError

# Variables that begin with one of these can change how numbers are computed or files are written.
LEFT_OUT = (
    *("JAX", "CHECK_VMA", "EAGER_CONSTANT_FOLDING", "MOCK_NUM_GPU", "ENABLE_PJRT", "NPROC"),
    *("XLA_", "LIBTPU_", "TF_XLA_", "NVIDIA_TF32", "CUBLAS_", "CUDNN_", "GLIBC_TUNABLES"),
    *("OPENBLAS_", "GOTO_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "VECLIB_"),
    *("PYTHON", "NPY_", "NUMPY_", "SCIPY_", "SKLEARN_", "PANDAS_", "MPL", "MATPLOTLIB"),
    *("JUPYTER", "JPY_", "IPYTHON", "PYDEVD_"),
    *("TEX", "VARTEX", "BIB", "BST", "LATEXMK", "PERL", "max_print_line"),
    *("openin_any", "openout_any", "shell_escape"),
    *("BASH_ENV", "BASH_FUNC_", "BASHOPTS", "SHELLOPTS", "CDPATH", "GLOBIGNORE", "POSIXLY_CORRECT"),
    # Those of a hook that starts a command name its repository.
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT", "GIT_NAMESPACE", "GIT_CONFIG"),
)
# Of these, those that find files or divide memory.
HARMLESS = (
    *("XLA_FLAGS", "XLA_PYTHON_CLIENT_"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONNOUSERSITE", "PYTHONUSERBASE"),
    *("PYTHONUNBUFFERED", "PYTHONFAULTHANDLER", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
    *("PYTHONHASHSEED", "MPLCONFIGDIR"),
    *("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"),  # scikit-learn sets them itself
)
# Of XLA's flags, those that may stay.
HARMLESS_FLAGS = ("--xla_gpu_cuda_data_dir=", "--xla_dump_", "--xla_hlo_profile")
# They name shared libraries that are loaded before, or in place of, others. A GPU may need them.
LIBRARIES = ("LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH")
# Names the process that began again without the others, and what was left out.
BEGUN, NAMES = "FLATREG_BEGAN_AGAIN", "FLATREG_LEFT_OUT"


def held(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables with which a command computes the same numbers on every user's account.

    Text is UTF-8 in every language. An account without a home that it may write to, as in a
    container, gets the folder of temporary files: Jupyter does not start without one, and notebooks
    show what Matplotlib says of it.

    JAX uses OpenBLAS for decompositions. OpenBLAS has kernels for each kind of processor, which
    round differently. Wherever they can run, the AVX2 kernels are selected, so that a run rounds
    the same on all nodes of a cluster.
    """
    kept = {name: value for name, value in environment.items() if not _is_left_out(name)}
    if flags := kept.pop("XLA_FLAGS", ""):
        stay = [flag for flag in flags.split() if flag.startswith(HARMLESS_FLAGS)]
        kept |= {"XLA_FLAGS": " ".join(stay)} if stay else {}
    kernels = {"OPENBLAS_CORETYPE": "Haswell"} if "avx2" in processor.features() else {}
    home = {} if _has_home(environment) else {"HOME": tempfile.gettempdir()}
    return kept | {"PYTHONUTF8": "1"} | home | kernels


def left_out(environment: Mapping[str, str]) -> list[str]:
    """The names of the variables that `held` leaves out or changes."""
    kept = held(environment)
    return sorted(name for name in environment if kept.get(name) != environment[name])


def libraries() -> list[str]:
    """The names of the shared libraries that this process loaded because of a variable."""
    places = re.split(r"[:\s]", ":".join(os.environ.get(name, "") for name in LIBRARIES))
    real = tuple(os.path.realpath(place) for place in places if place.startswith("/"))
    maps = Path("/proc/self/maps")
    if not real or not maps.exists():
        return []
    loaded = {line.split(maxsplit=5)[-1].strip() for line in maps.read_text().splitlines()}
    return sorted({Path(path).name for path in loaded if path.startswith(real)})


def hold() -> str | None:
    """Change the variables of this process and of the commands that it starts.

    These find this interpreter as `python`, and import nothing from the working folder.

    Returns:
        One line that names what was left out, if there was anything.
    """
    names, kept = left_out(os.environ), held(os.environ)
    os.environ.clear()
    os.environ.update(kept | {"PYTHONSAFEPATH": "1", "PATH": _path(kept.get("PATH", os.defpath))})
    os.environ.update(_remembered(names))
    return _said(names) if names else None


def begin_again() -> None:
    """Start this command anew if it began with other variables than those of `held`.

    Raises:
        UserError: a start-up file of Python sets them each time, or has loaded JAX already.
    """
    _check_not_loaded("jax")
    kept = held(os.environ)
    if kept == dict(os.environ):
        return
    names = left_out(os.environ)
    if os.environ.get(BEGUN) == str(os.getpid()):
        raise UserError(
            f"a start-up file of Python ({_start_up_files()}) sets {', '.join(names)}, which could "
            "change results; remove that from it"
        )
    if names:
        print(_said(names), file=sys.stderr, flush=True)
    again = kept | _remembered(names) | {BEGUN: str(os.getpid())}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], again)


def left_out_before() -> list[str]:
    """The names of the variables that this process, or one that started it, left out."""
    return [name for name in os.environ.get(NAMES, "").split(",") if name]


def _remembered(names: list[str]) -> dict[str, str]:
    return {NAMES: ",".join(names)} if names else {}


def _check_not_loaded(name: str) -> None:
    """Refuse a library that a start-up file loaded: its settings could be any.

    Python loads `runpy`, for `python -m`, after the start-up files and before anything else.
    """
    loaded = list(sys.modules)
    begun = min(loaded.index(first) for first in ("runpy", "flatreg") if first in loaded)
    if name in loaded and loaded.index(name) < begun:
        raise UserError(
            f"a start-up file of Python ({_start_up_files()}) loads {name}, and could change its "
            "settings; remove that from it"
        )


def _start_up_files() -> str:
    """Those that are loaded; a .pth file leaves no trace."""
    modules = (sys.modules.get(name) for name in ("sitecustomize", "usercustomize"))
    paths = [str(module.__file__) for module in modules if module]
    return ", ".join([*paths, "or a .pth file" if paths else "a .pth file"])


def _path(path: str) -> str:
    """PATH with the folder of this interpreter first, unless it is the first `python` already."""
    own = Path(sys.executable).parent
    found = shutil.which("python", path=path)
    return path if found and Path(found).parent == own else f"{own}{os.pathsep}{path}"


def _said(names: list[str]) -> str:
    return f"left out, because they could change results: {', '.join(names)}"


def _has_home(environment: Mapping[str, str]) -> bool:
    """Whether an account has a home in which settings and caches can be kept."""
    try:
        return os.access(environment.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir, os.W_OK)
    except KeyError:
        return False


def _is_left_out(name: str) -> bool:
    return name.startswith(LEFT_OUT) and not name.startswith(HARMLESS)
