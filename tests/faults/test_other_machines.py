"""The ordinary machine of somebody else: what it sets, and what lies around in its folders.

Under each, the demo trains and measures, draws a figure, executes a notebook and compiles the PDF.
All have the bytes that they had.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import matplotlib as mpl
import pytest
from fontTools.ttLib import TTFont

from tests.faults.demo import (
    BLOCK,
    MEASURED,
    PDF,
    RESULTS,
    ROOT,
    SMALL,
    TRAINED,
    Demo,
    assert_no_traceback,
    finish,
)

pytestmark = pytest.mark.slow

# What the demo makes again: a figure, a notebook and the PDF beside the block of runs.
MADE = [
    *(RESULTS / "figures" / f"accuracy.{kind}" for kind in ("pdf", "svg")),
    *(RESULTS / "notebooks" / f"digits.{kind}" for kind in ("ipynb", "html")),
    PDF,
]


def assert_same_bytes(demo: Demo, **more: Any) -> dict[str, Any]:
    """Take results away, make them again under something, and compare; return a run's facts."""
    runs, kept = [RESULTS / "runs" / name for name in BLOCK], demo.folder / "kept"
    kept.mkdir()
    for run in runs:
        (demo.folder / run).rename(kept / run.name)
    assert_made(demo, ["make_runs"], [run / file for run in runs for file in MEASURED], more)
    facts = json.loads((demo.run() / "facts.json").read_text())
    # The times of the new runs would reach the tables.
    for run in runs:
        shutil.rmtree(demo.folder / run)
        (kept / run.name).rename(demo.folder / run)
    for path in MADE:
        (demo.folder / path).unlink()
    assert_made(demo, MADE, MADE, more)
    return facts


def assert_made(
    demo: Demo, targets: Sequence[Path | str], files: list[Path], more: dict[str, Any]
) -> None:
    """Check that Snakemake makes these targets, and that these files are as they were."""
    code, output = finish(demo.start(target=targets, **more))
    assert code == 0, output
    assert_no_traceback(output)
    for path in files:
        assert (demo.folder / path).read_bytes() == (ROOT / path).read_bytes(), (path, output)


# ── Variables ─────────────────────────────────────────────────────────────────


def of_jax() -> Iterator[tuple[str, dict[str, str]]]:
    """All that JAX reads, by its own list, in portions; each has another value than its default."""
    values = {
        name.upper(): "0" if value is True else "1" if value is False else "2"
        for name, value in jax.config.values.items()
    }
    names = sorted(values)
    for number in range(8):
        yield f"jax-{number}", {name: values[name] for name in names[number::8]}


# {home} is a folder of the user; the files there are those of HOME_FILES.
VARIABLES = dict(of_jax()) | {
    "x64": {"JAX_ENABLE_X64": "1"},
    "rbg": {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
    "threefry": {"JAX_THREEFRY_PARTITIONABLE": "0"},
    "cuda": {"JAX_PLATFORMS": "cuda", "JAX_PLATFORM_NAME": "gpu"},
    "fast-math": {"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"},
    "devices": {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"},
    "no-such-flag": {"XLA_FLAGS": "--xla_no_such_flag"},
    "threads": dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"], "3"),
    "kernels": {"OPENBLAS_CORETYPE": "Nehalem"},
    "no-avx2": {
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
    },
    "array-api": {"SCIPY_ARRAY_API": "1", "SKLEARN_WORKING_MEMORY": "1"},
    "pandas": {"PANDAS_COPY_ON_WRITE": "0", "PANDAS_FUTURE_INFER_STRING": "0"},
    "optimize": {"PYTHONOPTIMIZE": "2"},
    "warnings": {"PYTHONWARNINGS": "error::DeprecationWarning"},
    "hash": {"PYTHONHASHSEED": "4242"},
    "ascii": {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
    "development": {"PYTHONDEVMODE": "1", "PYTHONTRACEMALLOC": "2"},
    "python-startup": {"PYTHONSTARTUP": "{home}/startup.py"},
    "posix": {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "TZ": "America/Adak"},
    "kiribati": {"TZ": "Pacific/Kiritimati", "LANGUAGE": "de"},
    "decimal-comma": {"LC_ALL": "de_DE.UTF-8", "LOCPATH": "{home}/locales"},
    "latin1": {"LC_ALL": "de_DE.ISO-8859-1", "LOCPATH": "{home}/locales"},
    "turkish": {"LC_ALL": "tr_TR.UTF-8", "LOCPATH": "{home}/locales"},
    "home": {"HOME": "{home}"},
    "home-missing": {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": "{home}/cache"},
    "config-home": {"XDG_CONFIG_HOME": "{home}/.config", "XDG_DATA_HOME": "{home}/.local/share"},
    "backend": {"MPLBACKEND": "TkAgg", "DISPLAY": ":99"},
    "matplotlibrc": {"MATPLOTLIBRC": "{home}/.config/matplotlib/matplotlibrc"},
    "jupyter": {"JUPYTER_PATH": "{home}/.local/share/jupyter", "JUPYTER_PLATFORM_DIRS": "1"},
    "ipython": {"IPYTHONDIR": "{home}/.ipython"},
    "tex": {"TEXINPUTS": "{home}/inputs:", "BSTINPUTS": "{home}/inputs:", "max_print_line": "50"},
    "texmf": {"TEXMFHOME": "{home}/texmf", "openout_any": "r", "LATEXMKRCSYS": "{home}/.latexmkrc"},
    "perl": {"PERL5OPT": "-Mno_such_module", "PERL_UNICODE": "0"},
    "bash": {"BASH_ENV": "{home}/.bashrc", "CDPATH": "/tmp", "POSIXLY_CORRECT": "1"},
    "bash-functions": {"BASH_FUNC_python%%": "() { echo mine; }", "GLOBIGNORE": "*"},
    "git": {"GIT_DIR": "{home}/.git", "GIT_WORK_TREE": "{home}", "GIT_INDEX_FILE": "{home}/index"},
    "narrow": {"COLUMNS": "20", "LINES": "5", "NO_COLOR": "1", "TERM": "dumb"},
    "colour": {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm-256color"},
    "temporary": {"TMPDIR": "{home}/two words"},
}
HOME_FILES = {
    ".config/matplotlib/matplotlibrc": "savefig.bbox: tight\naxes.grid: True\ntext.usetex: True\n"
    "backend: TkAgg\nfont.family: monospace\n",
    ".latexmkrc": '$out_dir = "build"; $pdf_mode = 4;',
    ".texlive/texmf-config/web2c/texmf.cnf": "openout_any = r",
    "texmf/tex/latex/article.cls": "\\errmessage{mine}",
    "inputs/article.cls": "\\errmessage{mine}",
    "inputs/plainnat.bst": "mine",
    ".ipython/profile_default/startup/00.py": "raise SystemExit",
    ".ipython/profile_default/ipython_config.py": "c.InteractiveShellApp.exec_lines = ['1/0']",
    ".jupyter/jupyter_nbconvert_config.py": "c.HTMLExporter.exclude_input = True",
    ".local/share/jupyter/kernels/python3/kernel.json": json.dumps(
        {"argv": ["false"], "display_name": "mine", "language": "python"}
    ),
    ".bashrc": "cd /; alias python=false; set -e; shopt -s nullglob",
    "startup.py": "raise SystemExit",
    ".gitconfig": "[core]\n\tfsmonitor = false\n[status]\n\tshowUntrackedFiles = all\n[alias]\n",
    ".condarc": "channels: [mine]",
    "two words/x": "",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a user who has settings for everything."""
    folder = tmp_path / "home"
    for name, content in HOME_FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / ".fonts").mkdir()
    write_font(folder / ".fonts/mine.ttf")
    subprocess.run(["git", "init", "-q", folder], check=True)
    return folder


def write_font(path: Path) -> None:
    """Write a typewriter font that has the name of the figures' font."""
    with TTFont(Path(mpl.get_data_path()) / "fonts/ttf/cmtt10.ttf") as font:
        for record in font["name"].names:
            record.string = str(record).replace("cmtt10", "cmr10")
        font.save(path)


def make_locale(folder: Path, name: str) -> None:
    """Compile a locale, which few machines have installed."""
    folder.mkdir()
    language, _, charset = name.partition(".")
    words = ["localedef", "-i", language, "-f", charset, folder / name]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("this machine has no sources of locales")


# ── Files in the working folder, limits, programs and libraries ─────────────────────────

FILES = {
    "matplotlibrc": "axes.grid: True\nlines.linewidth: 9\nbackend: TkAgg\n",
    ".latexmkrc": '$out_dir = "build";',
    "latexmkrc": '$out_dir = "build";',
    "jax.py": "raise SystemExit('the wrong one')",
    "papermill.py": "raise SystemExit('the wrong one')",
    "article.cls": "\\errmessage{mine}",
    "jupyter_nbconvert_config.py": "c.HTMLExporter.exclude_input = True",
}


LIMITS: dict[str, Callable[[], object]] = {
    "umask-000": partial(os.umask, 0),
    "umask-077": partial(os.umask, 0o077),
    "files": partial(resource.setrlimit, resource.RLIMIT_NOFILE, (256, 256)),
    "stack": partial(resource.setrlimit, resource.RLIMIT_STACK, (2**20, 2**20)),
    "no-core": partial(resource.setrlimit, resource.RLIMIT_CORE, (0, 0)),
    "one-core": partial(os.sched_setaffinity, 0, {min(os.sched_getaffinity(0))}),
    "no-input": partial(os.close, 0),
}


def set_variables(case: str, demo: Demo, home: Path) -> dict[str, Any]:
    """Options with which the demo starts under the variables of a case."""
    variables = {k: text.replace("{home}", str(home)) for k, text in VARIABLES[case].items()}
    if "LOCPATH" in variables:
        make_locale(Path(variables["LOCPATH"]), variables["LC_ALL"])
    return {"environment": variables}


def write_file(name: str, demo: Demo, home: Path) -> dict[str, Any]:
    """Put a file into the working folder."""
    (demo.folder / name).write_text(FILES[name])
    return {}


def limit(case: str, demo: Demo, home: Path) -> dict[str, Any]:
    """Options with which the demo starts under a limit."""
    return {"preexec_fn": LIMITS[case]}


def put_first(name: str, demo: Demo, home: Path) -> dict[str, Any]:
    """Let another program of a name come first in PATH."""
    other = home / "bin" / name
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho the wrong one\nexit 1\n")
    other.chmod(0o755)
    return {"environment": {"PATH": f"{other.parent}:{os.environ['PATH']}"}}


def preload(name: str, demo: Demo, home: Path) -> dict[str, Any]:
    """Let a library of the user's come before the system's."""
    system = next(Path("/").glob("lib*/*/libm.so.6"))
    return {"environment": {"LD_PRELOAD": str(shutil.copy(system, home / name))}}


CASES = [
    *((set_variables, case) for case in VARIABLES),
    *((write_file, name) for name in FILES),
    *((limit, case) for case in LIMITS),
    (put_first, "python"),
    (preload, "libmine.so"),
]


@pytest.mark.parametrize(("begin", "case"), CASES, ids=[f"{f.__name__}-{x}" for f, x in CASES])
def test_results_have_the_same_bytes(
    demo: Demo, home: Path, begin: Callable[..., dict[str, Any]], case: str
) -> None:
    facts = assert_same_bytes(demo, **begin(case, demo, home))
    assert facts["other_libraries"] == ([case] if begin is preload else [])


def test_a_command_that_is_typed(demo: Demo, tmp_path: Path) -> None:
    """It leaves out the same variables as the jobs of a study, and names them."""
    variables = VARIABLES["x64"] | VARIABLES["optimize"]
    variables |= {"PYTHONINSPECT": "1", "PYTHONWARNINGS": "error"}
    command = demo.train(tmp_path / "checkpoints", tmp_path)
    code, output = finish(demo.do(command, variables))
    assert code == 0, output
    assert f"could change results: {', '.join(sorted(variables))}\n" in output
    for file in TRAINED:
        ours = tmp_path / "runs" / SMALL / file
        assert ours.read_bytes() == (ROOT / RESULTS / "runs" / SMALL / file).read_bytes()
