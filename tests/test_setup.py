"""The set-up: the lock, make's targets, and one-line errors if the machine lacks something."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

LOCKS = ["requirements.txt", "requirements-cuda.txt"]
ERROR_LINE = re.compile(r"^error: .+$", re.MULTILINE)


def normalized(name: str) -> str:
    """Return a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lock_entries(root: Path, name: str = "requirements.txt") -> dict[str, str]:
    """Return each locked package with its entry, hashes included."""
    text = (root / "envs" / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    return {normalized(re.split(r"[=\s]", entry, maxsplit=1)[0]): entry for entry in entries}


def make_command(folder: Path, name: str, text: str) -> None:
    """Put an executable shell script on a folder that serves as PATH."""
    command = folder / name
    command.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """Return a folder for PATH with only the commands that set-up calls, without apt and sudo."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ["sh", "id", "echo", "env", "cat"]:
        found = shutil.which(name)
        assert found, f"{name} is missing on this machine"
        (folder / name).symlink_to(found)
    return folder


def run_setup(root: Path, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run envs/setup.sh with only `path` on PATH."""
    return subprocess.run(
        ["/bin/sh", str(root / "envs/setup.sh"), *arguments],
        cwd=root,
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check that a command failed with a single `error:` line that has these words."""
    assert result.returncode == 1
    assert result.stdout == ""
    assert ERROR_LINE.fullmatch(result.stderr.strip()), result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(("name", "least"), [*((name, 100) for name in LOCKS), ("uv.txt", 1)])
def test_every_locked_package_has_one_version_and_hashes(root, name, least):
    text = (root / "envs" / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) >= least
    assert len(lock_entries(root, name)) == len(entries), "a package is locked in two versions"
    for entry in entries:
        assert re.match(r"[\w.-]+==[\w.]+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("name", [*LOCKS, "uv.txt"])
def test_lock_names_no_host(root, name):
    text = (root / "envs" / name).read_text(encoding="utf-8")
    assert not re.search(r"://|--index|--extra-index|--find-links|--trusted-host|@ ", text)


def test_lock_holds_what_the_package_declares(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for name, extra in project["project"]["optional-dependencies"].items():
        declared += extra if name != "cuda" else []
    names = {normalized(re.split(r"[\[<>=~! ]", line, maxsplit=1)[0]) for line in declared}
    missing = names - set(lock_entries(root))
    assert not missing, "make lock"


def version(entry: str) -> str:
    """Return the version that an entry of a lock pins."""
    return re.match(r"[\w.-]+==([\w.+!]+)", entry)[1]


def test_the_lock_for_cuda_has_the_versions_of_the_other_and_cuda(root):
    """So a study on GPUs differs only in its processor."""
    ours, cuda = lock_entries(root), lock_entries(root, "requirements-cuda.txt")
    shared = ours.keys() & cuda.keys()
    assert {"jax", "jaxlib", "flax", "optax", "snakemake", "orbax-checkpoint"} <= shared
    differing = {name for name in shared if version(ours[name]) != version(cuda[name])}
    assert differing == set(), "make lock"
    added = cuda.keys() - ours.keys()
    assert added, "there is something of CUDA"
    assert all(re.match(r"jax-cuda12-|nvidia-", name) for name in added), added


def test_conda_and_the_container_take_the_lock(root):
    """Neither installs a Python package by name, except what builds flatreg."""
    conda = yaml.safe_load((root / "envs/environment.yaml").read_text(encoding="utf-8"))
    assert [re.split("[=<>]", name)[0] for name in conda["dependencies"]] == ["python", "pip"]
    deployed = (root / "envs/environment.post-deploy.sh").read_text(encoding="utf-8")
    container = (root / "envs/flatreg.def").read_text(encoding="utf-8")
    for text, lock in (
        (deployed, "--require-hashes -r envs/requirements.txt"),
        (container, "--require-hashes -r requirements.txt"),
    ):
        installs = re.findall(r"pip install (.+)", text)
        assert lock in installs[0]
        assert all(re.search(r"--no-deps|hatchling", line) for line in installs[1:])
    assert "lock=requirements.txt" in container
    python = re.search(r"python=([\d.]+)", str(conda["dependencies"]))[1]
    assert f"From: python:{python}-slim" in container, "one Python"


def test_help_lists_every_target_in_one_line(root):
    text = (root / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE).group(1).split())
    lines = subprocess.run(
        # The suite itself may run under make, which would print every folder it enters.
        ["make", "--no-print-directory", "help"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    listed = [re.match(r"make ([\w-]+) +\S.*$", line).group(1) for line in lines]
    assert set(listed) == phony - {"tex", "chromium", "slurm"}
    assert len(listed) == len(set(listed))


def test_old_python_is_one_line(root, bare_path, tmp_path):
    make_command(bare_path, "python3", "echo 3.9")
    result = run_setup(root, bare_path, "venv", "python3", str(tmp_path / "venv"))
    assert_one_line(result, "Python 3.9", "3.11", "PYTHON=")
    assert not (tmp_path / "venv").exists()


def test_missing_python_is_one_line(root, bare_path, tmp_path):
    result = run_setup(root, bare_path, "venv", "python3", str(tmp_path / "venv"))
    assert_one_line(result, "python3 is missing", "3.11")


def test_missing_venv_module_is_one_line(root, bare_path, tmp_path):
    make_command(bare_path, "python3", 'case "$2" in *ensurepip*) exit 1 ;; esac; echo 3.12')
    result = run_setup(root, bare_path, "venv", "python3", str(tmp_path / "venv"))
    assert_one_line(result, "apt-get install python3.12-venv")
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("manager", "words"),
    [
        ("apt-get", "sudo apt-get install latexmk texlive-latex-base"),
        ("dnf", "sudo dnf install latexmk"),
        ("brew", "brew install --cask mactex-no-gui"),
        ("conda", "conda install -c conda-forge"),
        ("true", "install TeX Live"),
    ],
)
def test_missing_tex_says_what_to_type(root, bare_path, manager, words):
    (bare_path / "id").unlink()
    make_command(bare_path, "id", "echo 1000")  # not root, and there is no sudo on this PATH
    make_command(bare_path, manager, "exit 99")
    assert_one_line(run_setup(root, bare_path, "tex"), "LaTeX is missing", words)


def test_make_stops_at_an_old_python(root, tmp_path):
    """In a clean copy, make sets nothing up and prints the error once."""
    for name in ["Makefile", "pyproject.toml"]:
        shutil.copy(root / name, tmp_path)
    shutil.copytree(root / "envs", tmp_path / "envs")
    old = tmp_path / "old-python"
    make_command(tmp_path, old.name, "echo 3.9")
    result = subprocess.run(
        ["make", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode != 0
    assert len(ERROR_LINE.findall(result.stderr)) == 1
    assert "Python 3.9 and 3.11 or newer is needed" in result.stderr
    assert not (tmp_path / ".venv").exists()


def make_wheel(folder: Path, version: str) -> Path:
    """Write a package of one module, `probe`, as a wheel, and return it."""
    facts = f"probe-{version}.dist-info"
    wheel = folder / f"probe-{version}-py3-none-any.whl"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as files:
        files.writestr("probe.py", f"VERSION = '{version}'\n")
        files.writestr(
            f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: probe\nVersion: {version}\n"
        )
        files.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        files.writestr(f"{facts}/RECORD", "")
    return wheel


class Machine:
    """A copy of the project's set-up for a user whose pip asks an index in a folder.

    The index has two versions of `probe`, which the environment `audit` holds in version 1.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        """Lay the copy, the index and pip's settings in `folder`."""
        self.project, self.index = folder / "project", folder / "index"
        shutil.copytree(root / "envs", self.project / "envs")
        self.index.mkdir()
        for version in ("1", "2"):
            self.offer(make_wheel(self.index / "probe", version))
        self.lock("1")
        self.settings = folder / "pip.conf"
        self.settings.write_text(f"[global]\nindex-url = {self.index.as_uri()}\n", "utf-8")
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.environment = {name: os.environ[name] for name in ("HOME",) if name in os.environ} | {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PIP_CONFIG_FILE": str(self.settings),
            "UV": "uv-of-this-test",
            "UV_CACHE_DIR": str(folder / "cache"),
            "PIP_CACHE_DIR": str(folder / "cache-of-pip"),
            # Of all files of pip's settings, only the one above counts.
            "XDG_CONFIG_DIRS": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }
        self.venv = self.project / "venv"

    def offer(self, wheel: Path) -> None:
        """Add a wheel that lies in the index to its page there."""
        with (wheel.parent / "index.html").open("a", encoding="utf-8") as page:
            page.write(f'<a href="{wheel.name}">{wheel.name}</a>\n')

    def lock(self, version: str) -> None:
        """Let the environment `audit` hold this version of `probe`."""
        (self.project / "envs/audit.txt").write_text(f"probe=={version}\n", encoding="utf-8")

    def command(self, name: str = "audit") -> list[str]:
        """Return the command that sets up an environment."""
        return ["/bin/sh", "envs/setup.sh", name, sys.executable, str(self.venv)]

    def set_up(self, name: str = "audit") -> subprocess.CompletedProcess[str]:
        """Set up an environment."""
        return subprocess.run(
            self.command(name),
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def python(self, *arguments: str) -> str:
        """Return what the environment's Python prints."""
        command = [self.venv / "bin/python", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def installed(self) -> tuple[str, str]:
        """Return the version of `probe` that the environment imports, and what installed it."""
        code = (
            "import probe, importlib.metadata as m;"
            "print(probe.VERSION, m.distribution('probe').read_text('INSTALLER'))"
        )
        return tuple(self.python("-c", code).split())

    def assert_tidy(self) -> None:
        """Check that the environment has pip, and nothing but what `python -m venv` lays."""
        assert "probe" in self.python("-m", "pip", "--disable-pip-version-check", "list")
        assert {path.name for path in self.venv.iterdir()} - {".lock"} == {
            "bin",
            "include",
            "lib",
            "lib64",
            "pyvenv.cfg",
        }


@pytest.fixture
def machine(root: Path, tmp_path: Path) -> Machine:
    return Machine(root, tmp_path)


@pytest.fixture(scope="module")
def wheel_of_uv(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of the locked uv, as the user's own pip gets it."""
    folder = tmp_path_factory.mktemp("uv")
    command = (
        f"-m pip -qq download --require-hashes --no-deps -r {root / 'envs/uv.txt'} -d {folder}"
    )
    subprocess.run([sys.executable, *command.split()], check=True, timeout=300)
    return next(folder.glob("*.whl"))


@pytest.fixture
def with_uv(machine: Machine, wheel_of_uv: Path) -> Machine:
    """Return a machine whose index has the locked uv."""
    (machine.index / "uv").mkdir()
    machine.offer(Path(shutil.copy(wheel_of_uv, machine.index / "uv")))
    return machine


@pytest.mark.slow
def test_the_locked_uv_sets_up_from_the_index_of_pip(with_uv):
    """Then again, with another lock, in an environment that has a package of the user's own."""
    result = with_uv.set_up()
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"Setting up \S+ with Python 3\.\d+, by uv .+\n", result.stdout)
    assert with_uv.installed() == ("1", "uv")
    with_uv.assert_tidy()
    (with_uv.venv / "kept").touch()
    with_uv.lock("2")
    assert with_uv.set_up().returncode == 0
    assert with_uv.installed() == ("2", "uv")
    assert (with_uv.venv / "kept").exists()


@pytest.mark.slow
def test_without_uv_pip_sets_up_and_uv_updates(machine, wheel_of_uv):
    result = machine.set_up()
    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert "by uv" in first
    assert re.fullmatch(r"uv could not be installed \(ERROR: .+\), so pip goes on .+", second)
    assert machine.installed() == ("1", "pip")
    machine.assert_tidy()
    machine.lock("2")
    (machine.index / "uv").mkdir()
    machine.offer(Path(shutil.copy(wheel_of_uv, machine.index / "uv")))
    assert machine.set_up().stdout.count("\n") == 1
    assert machine.installed() == ("2", "uv")


@pytest.mark.slow
def test_if_uv_fails_pip_goes_on_in_an_empty_environment(with_uv):
    """What uv left half done does not count."""
    leaves = (
        f"[ $1 = --version ] || {{ touch {with_uv.venv}/left; echo 'error: broken' >&2; exit 2; }}"
    )
    make_command(with_uv.bin, with_uv.environment["UV"], leaves)
    result = with_uv.set_up()
    assert (result.returncode, result.stderr) == (0, "")
    second = result.stdout.splitlines()[1]
    assert second.startswith("uv failed (error: broken), so pip goes on")
    assert with_uv.installed() == ("1", "pip")
    with_uv.assert_tidy()


@pytest.mark.slow
def test_a_wrong_hash_is_refused_by_uv_and_by_pip(with_uv):
    lock = with_uv.project / "envs/requirements.txt"
    lock.write_text(f"probe==1 --hash=sha256:{hashlib.sha256(b'another').hexdigest()}\n", "utf-8")
    result = with_uv.set_up("venv")
    assert result.returncode != 0
    assert "uv failed" in result.stdout
    assert "DO NOT MATCH THE HASHES" in result.stderr
    assert not list(with_uv.venv.glob("lib/python*/site-packages/probe*"))


def interruptible(command: list[str]) -> list[str]:
    """The command, which SIGINT ends even if the suite was started in the background."""
    reset = "signal.signal(signal.SIGINT, signal.SIG_DFL)"
    begin = f"import os, signal, sys; {reset}; os.execvp(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", begin, *command]


@pytest.mark.slow
def test_an_interrupted_setup_is_repaired_by_the_next(with_uv):
    """Interrupted while uv lays a package, whose metadata is there before its module."""
    facts = "venv/lib/python*/site-packages/probe-1.dist-info"
    fake = with_uv.bin / with_uv.environment["UV"]
    make_command(
        with_uv.bin,
        fake.name,
        "[ $1 = --version ] && exit\n"
        "cd venv/lib/python*/site-packages && mkdir probe-1.dist-info && cd probe-1.dist-info\n"
        "touch RECORD && printf 'Metadata-Version: 2.1\\nName: probe\\nVersion: 1\\n' >METADATA\n"
        "exec sleep 60",
    )
    with subprocess.Popen(
        interruptible(with_uv.command()),
        cwd=with_uv.project,
        env=with_uv.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while process.poll() is None and not list(with_uv.project.glob(f"{facts}/METADATA")):
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert "pip goes on" not in said
    fake.unlink()
    assert with_uv.set_up().returncode == 0
    assert with_uv.installed() == ("1", "uv")
    with_uv.assert_tidy()


def seen_by_uv(machine: Machine, **environment: str) -> dict[str, str]:
    """Return the environment in which uv would run."""
    lines = subprocess.run(
        [sys.executable, machine.project / "envs/uv_like_pip.py", "env"],
        env=machine.environment | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_uv_is_told_what_pip_knows(machine):
    machine.settings.write_text(
        "[global]\nindex-url = https://first.test/simple\nproxy = proxy.test:1\n"
        "[install]\nindex-url = https://second.test/simple\nno-index = true\n"
        "extra-index-url = https://third.test/simple\n    https://fourth.test/simple\n",
        "utf-8",
    )
    seen = seen_by_uv(
        machine,
        PIP_FIND_LINKS="/a /b",
        PIP_TRUSTED_HOST="first.test third.test",
        PIP_CERT="/ca.pem",
    )
    assert seen["UV_DEFAULT_INDEX"] == "https://second.test/simple"
    assert seen["UV_INDEX"] == "https://third.test/simple https://fourth.test/simple"
    assert seen["UV_FIND_LINKS"] == "/a,/b"
    assert seen["UV_NO_INDEX"] == "1"
    assert seen["UV_INSECURE_HOST"] == "first.test third.test"
    assert seen["SSL_CERT_FILE"] == "/ca.pem"
    assert seen["ALL_PROXY"] == "proxy.test:1"


def test_what_uv_was_told_itself_stays(machine, tmp_path):
    own = {"UV_DEFAULT_INDEX": "https://uv.test/simple", "SSL_CERT_FILE": "/uv.pem"}
    seen = seen_by_uv(machine, **own, PIP_CERT="/ca.pem", PIP_FIND_LINKS="/a")
    assert own.items() <= seen.items()
    assert "UV_FIND_LINKS" not in seen
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv/uv.toml").write_text('index-url = "https://uv.test/simple"\n', "utf-8")
    assert "UV_DEFAULT_INDEX" not in seen_by_uv(machine)
    (tmp_path / "uv/uv.toml").write_text('link-mode = "copy"\n', "utf-8")
    assert seen_by_uv(machine)["UV_DEFAULT_INDEX"] == machine.index.as_uri()


CLUSTERS = ("slurm", "cluster-generic", "gpu")


def profile(root, name):
    return yaml.safe_load((root / f"profiles/{name}/config.yaml").read_text(encoding="utf-8"))


def test_profiles_hold_only_what_snakemake_knows(root):
    """Each profile is a flat mapping of Snakemake's own long options."""
    known = subprocess.run(
        [sys.executable, "-m", "snakemake", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    profiles = sorted((root / "profiles").glob("*/config.yaml"))
    assert {path.parent.name for path in profiles} == {
        "adam",
        "autodiff",
        "cluster-generic",
        "default",
        "demo",
        "gpu",
        "gpu-local",
        "slurm",
        "verify",
    }
    for path in profiles:
        for option in yaml.safe_load(path.read_text(encoding="utf-8")):
            assert re.search(rf"--{re.escape(option)}\b", known), f"{path}: {option}"


def test_profiles_of_clusters_group_the_same_jobs(root):
    """They name only rules that exist and that do not run on the login node."""
    slurm, generic, gpu = (profile(root, name) for name in CLUSTERS)
    for option in ("groups", "group-components", "retries", "latency-wait"):
        assert slurm[option] == generic[option] == gpu[option], option
    rules = "".join(path.read_text("utf-8") for path in (root / "workflow/rules").glob("*.smk"))
    grouped = {entry.partition("=")[0] for entry in slurm["groups"]}
    bodies = dict(re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", rules, re.MULTILINE))
    assert grouped <= set(bodies)
    assert [name for name in grouped if "localrule: True" in bodies[name]] == []


OF_CLUSTERS = {"cores", "scheduler-subsample", "show-failed-logs"}


@pytest.mark.parametrize(
    ("name", "own"), [*((name, OF_CLUSTERS) for name in CLUSTERS), ("gpu-local", set())]
)
def test_a_profile_has_what_the_default_one_sets(root, name, own):
    """It replaces the default profile, so it repeats all settings but its own."""
    default, other = profile(root, "default"), profile(root, name)
    assert {option for option in default if default[option] != other[option]} == own
