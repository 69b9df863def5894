"""The set-up: the lock, make's targets, and one clear line where the machine lacks something."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
import tomllib
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
    """Return a folder for PATH with the few commands that set-up itself calls, no apt, no sudo."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ["sh", "id", "echo", "env", "cat"]:
        found = shutil.which(name)
        assert found, f"{name} is missing on this machine"
        (folder / name).symlink_to(found)
    return folder


def run_setup(root: Path, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run envs/setup.sh with nothing but `path` to find commands in."""
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


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_one_version_and_hashes(root, name):
    text = (root / "envs" / name).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 100
    assert len(lock_entries(root, name)) == len(entries), "a package is locked in two versions"
    for entry in entries:
        assert re.match(r"[\w.-]+==[\w.]+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("name", LOCKS)
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
    """So that a study on GPUs differs in its processor alone."""
    ours, cuda = lock_entries(root), lock_entries(root, "requirements-cuda.txt")
    shared = ours.keys() & cuda.keys()
    assert {"jax", "jaxlib", "flax", "optax", "snakemake", "orbax-checkpoint"} <= shared
    differing = {name for name in shared if version(ours[name]) != version(cuda[name])}
    assert differing == set(), "make lock"
    added = cuda.keys() - ours.keys()
    assert added, "there is something of CUDA"
    assert all(re.match(r"jax-cuda12-|nvidia-", name) for name in added), added


def test_conda_and_the_container_take_the_lock(root):
    """Neither names a package of Python's by itself, but what builds flatreg."""
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
    shown = subprocess.run(
        # The suite itself runs below make, which would tell of every folder it enters.
        ["make", "--no-print-directory", "help"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    listed = [re.match(r"make ([\w-]+) +\S.*$", line).group(1) for line in shown]
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
    """Through make itself, in a clean copy: nothing is set up, and the line is there once."""
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
        "slurm",
        "verify",
    }
    for path in profiles:
        for option in yaml.safe_load(path.read_text(encoding="utf-8")):
            assert re.search(rf"--{re.escape(option)}\b", known), f"{path}: {option}"


def test_profiles_of_clusters_group_the_same_jobs(root):
    """Each is a rule, and none of these runs on the login node."""
    slurm, generic, gpu = (profile(root, name) for name in CLUSTERS)
    for option in ("groups", "group-components", "retries", "latency-wait"):
        assert slurm[option] == generic[option] == gpu[option], option
    rules = "".join(path.read_text("utf-8") for path in (root / "workflow/rules").glob("*.smk"))
    grouped = {entry.partition("=")[0] for entry in slurm["groups"]}
    bodies = dict(re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", rules, re.MULTILINE))
    assert grouped <= set(bodies)
    assert [name for name in grouped if "localrule: True" in bodies[name]] == []


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_has_what_the_default_profile_sets(root, name):
    """It stands in its place; what it sets otherwise, it sets on purpose."""
    default, cluster = profile(root, "default"), profile(root, name)
    otherwise = {option for option in default if default[option] != cluster[option]}
    assert otherwise == {"cores", "scheduler-subsample", "show-failed-logs"}
