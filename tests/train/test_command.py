"""The commands train, select and measure as processes of their own, on Breast Cancer."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from flatreg import config
from flatreg.disk.files import read_sealed, sha256, write_sealed
from flatreg.disk.runs import load_params, save_params
from tests.copies import ROOT
from tests.studies import flatreg, small_study

COMPARED = ("metrics.json", "epochs.csv", "params.npz", "last.npz")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's completed config and the prepared Breast Cancer."""
    return small_study(
        tmp_path_factory.mktemp("study"),
        "protocols: {stated: {datasets: {breast_cancer: {epochs: 14}}}, literal: {datasets: "
        "{breast_cancer: {epochs: 2, search: {learning_rate: [0.001, 0.003], seeds: [7, 8]}}}}}\n",
    )


RUN = "stated/breast_cancer/lambda-0.01/seed-0"
LITERAL = "literal/breast_cancer/lambda-0.1/seed-0"
BLOCK = [
    f"stated/breast_cancer/lambda-{lam}/seed-{seed}" for lam in ("0.01", "0.1") for seed in (0, 1)
]


def log_of(folder: Path, run: str) -> Path:
    return folder / "logs/runs" / run / "metrics.log"


def train_flags(study: Path, out: Path, *runs: str, **changes: Any) -> list[Any]:
    """The flags of a training of some runs below `out`."""
    flags = {
        "config": study / "config.json",
        "data": study / "data.npz",
        "checkpoints": study / "checkpoints",
        "checkpoint-every": 2,
        "threads": 1,
        "compiled": study / "compiled",
    } | changes
    words = [part for name, value in flags.items() for part in (f"--{name}", value)]
    return [*words, "--runs", *(out / "runs" / run / "metrics.json" for run in runs or (RUN,))]


@pytest.fixture(scope="module")
def unbroken(study: Path) -> Path:
    """The folder of a run that was trained alone, without a stop."""
    done = flatreg("train", *train_flags(study, study / "unbroken"))
    assert done.returncode == 0, done.stderr
    return study / "unbroken/runs" / RUN


def checkpoint_steps(checkpoints: Path) -> list[Path]:
    found = checkpoints.glob("*/epochs/*")
    return sorted((p for p in found if p.name.isdigit()), key=lambda path: int(path.name))


def signal_at_checkpoint(study: Path, out: Path, number: signal.Signals) -> tuple[int, str, str]:
    """Start a training and signal it once it has two checkpoints; return exit code and output."""
    checkpoints = out.with_suffix(".checkpoints")
    flags = train_flags(study, out, checkpoints=checkpoints)
    command = [sys.executable, "-m", "flatreg.train", *map(str, flags)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    while process.poll() is None and len(checkpoint_steps(checkpoints)) < 2:
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate()
    assert not (out / "runs" / RUN / "metrics.json").exists()
    return process.returncode, stdout, stderr


def kill_at_checkpoint(study: Path, out: Path) -> Path:
    """The folder of the checkpoints of a killed training."""
    assert signal_at_checkpoint(study, out, signal.SIGKILL)[0] == -signal.SIGKILL
    return out.with_suffix(".checkpoints")


def train_again(study: Path, out: Path) -> str:
    """The output of the next attempt of a training."""
    done = flatreg("train", *train_flags(study, out, checkpoints=out.with_suffix(".checkpoints")))
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_same_bytes(out: Path, unbroken: Path, run: str = RUN) -> None:
    for name in COMPARED:
        assert (out / "runs" / run / name).read_bytes() == (unbroken / name).read_bytes()


def flip_bits(path: Path) -> None:
    """Flip a bit in each of ten bytes spread over a file."""
    content = bytearray(path.read_bytes())
    for place in np.linspace(0, len(content) - 1, 10).astype(int):
        content[place] ^= 1 << (place % 8)
    path.write_bytes(content)


def test_a_run_writes_its_folder_and_leaves_no_checkpoint(study: Path, unbroken: Path) -> None:
    assert sorted(path.name for path in unbroken.iterdir()) == [
        *["epochs.csv", "facts.json", "last.npz", "metrics.json", "params.npz", "timing.json"],
    ]
    metrics = json.loads((unbroken / "metrics.json").read_text())
    assert metrics["epochs"] == 14
    assert metrics["status"] == "completed"
    facts = json.loads((unbroken / "facts.json").read_text())
    assert facts["packages"]["jax"]
    assert checkpoint_steps(study / "checkpoints") == []


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(study: Path, unbroken: Path) -> None:
    out = study / "killed"
    kill_at_checkpoint(study, out)
    assert "going on after epoch" in train_again(study, out)
    assert json.loads((out / "runs" / RUN / "timing.json").read_text())["resumed"] > 0
    assert_same_bytes(out, unbroken)


SIDE_BY_SIDE = """
import jax
from flatreg import command
from flatreg.train import __main__, strategies
assert len(jax.devices()) == 4
strategies.of_device = lambda: strategies.Strategy(strategies.fitting, strategies.together)
command.run(__main__.main)
"""


@pytest.mark.slow
def test_a_block_goes_side_by_side_on_one_of_four_devices(
    study: Path, unbroken: Path, tmp_path: Path
) -> None:
    """As on a machine with several GPUs, whose place devices of the CPU take here."""
    flags = train_flags(study, tmp_path, *BLOCK, checkpoints=tmp_path / "checkpoints")
    done = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE, *map(str, flags), "--logs", str(tmp_path / "logs")],
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for run in BLOCK:
        assert "epoch 14/14" in log_of(tmp_path, run).read_text()
    here, alone = (
        json.loads((folder / "metrics.json").read_text())
        for folder in (tmp_path / "runs" / RUN, unbroken)
    )
    for name in ("train_loss", "test_loss", "parameter_norm"):
        assert here[name] == pytest.approx(alone[name], rel=1e-3)


@pytest.mark.slow
def test_a_run_that_is_told_to_end_loses_no_epoch(study: Path, unbroken: Path) -> None:
    out = study / "told"
    code, stdout, stderr = signal_at_checkpoint(study, out, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    done = re.fullmatch(
        r"told to end \(SIGTERM\): epoch (\d+) of 14 is saved, the next attempt goes on "
        r"from there\n",
        stderr,
    )
    assert done, stderr
    assert f"epoch {done[1]}/14" in stdout.splitlines()[-1]
    assert f"going on after epoch {done[1]} of 14" in train_again(study, out)
    assert json.loads((out / "runs" / RUN / "timing.json").read_text())["resumed"] == int(done[1])
    assert_same_bytes(out, unbroken)


@pytest.mark.slow
def test_a_checkpoint_whose_numbers_were_changed_is_passed_over(
    study: Path, unbroken: Path
) -> None:
    """Orbax reads the checkpoint without an error, but its content was changed."""
    out = study / "changed"
    newest = checkpoint_steps(kill_at_checkpoint(study, out))[-1]
    record = newest / "record" / "metadata"
    text = record.read_text()
    assert '"kept_epoch": ' in text
    record.write_text(text.replace('"kept_epoch": ', '"kept_epoch": 1'))
    assert f"checkpoint of epoch {newest.name} is broken, going back (its checksum differs)" in (
        train_again(study, out)
    )
    assert_same_bytes(out, unbroken)


@pytest.mark.slow
def test_a_run_that_is_done_is_not_trained_again(study: Path, unbroken: Path) -> None:
    """Snakemake deletes the outputs of a job that fails, or whose end it did not see."""
    again = study / "again-unbroken"
    done = flatreg("train", *train_flags(study, again))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("this run is already finished")
    assert "epoch 1" not in done.stdout
    for name in (*COMPARED, "timing.json", "facts.json"):
        assert (again / "runs" / RUN / name).read_bytes() == (unbroken / name).read_bytes()


@pytest.mark.slow
def test_what_was_kept_of_a_run_and_is_damaged_is_trained_anew(study: Path, unbroken: Path) -> None:
    out, kept = study / "twice", study / "twice.checkpoints"
    shutil.copytree(study / "checkpoints", kept)
    (params,) = kept.glob("*/finished/params.npz")
    flip_bits(params)
    said = train_again(study, out)
    assert "the kept files of this run are broken, training it again" in said
    assert "epoch 14/14" in said
    assert_same_bytes(out, unbroken)


@pytest.mark.slow
def test_two_trainings_of_one_run_take_turns(study: Path, unbroken: Path) -> None:
    """A killed Snakemake may start a run again while its first cluster job still runs."""
    flags = [train_flags(study, study / f"turn-{n}", checkpoints=study / "turns") for n in range(2)]
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "flatreg.train", *map(str, own)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in flags
    ]
    said = sorted(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert "epoch 14/14" in said[0]
    assert said[1].startswith("waiting for process ")
    assert "this run is already finished" in said[1]
    for n in range(2):
        assert_same_bytes(study / f"turn-{n}", unbroken)


@pytest.mark.parametrize(
    ("run", "changes", "message"),
    [
        ("stated/breast_cancer/lambda-0.5/seed-0", {}, "lambda 0.5 is not one of stated/breast_"),
        (RUN.replace("stated", "state"), {}, "'state' is not in the config; did you mean stated?"),
        (RUN.replace("seed-0", "0"), {}, "is not the folder of a run; write runs/PROTOCOL/DATASET"),
        (RUN, {"data": "nowhere.npz"}, "nowhere.npz is missing; prepare the data first"),
        (LITERAL, {}, "takes its learning rate from a search"),
    ],
)
def test_a_mistake_is_one_line(
    study: Path, run: str, changes: dict[str, Any], message: str
) -> None:
    done = flatreg("train", *train_flags(study, study / "mistake", run, **changes))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (study / "mistake").exists()


def select_flags(study: Path, out: Path, **changes: Any) -> list[Any]:
    """The flags of a search of the literal training's rates on Breast Cancer at lambda 0.1."""
    flags = {
        **{"config": study / "config.json", "data": study / "data.npz"},
        **{"protocol": "literal", "dataset": "breast_cancer", "lambda": "0.1", "threads": 1},
        **{"checkpoints": out.with_suffix(".checkpoints"), "compiled": study / "compiled"},
        "out": out,
    } | changes
    return [part for name, value in flags.items() for part in (f"--{name}", value)]


@pytest.fixture(scope="module")
def searched(study: Path) -> tuple[Path, str]:
    """The result of a search, and what was said of it."""
    done = flatreg("train.select", *select_flags(study, study / "selected.json"))
    assert done.returncode == 0, done.stderr
    return study / "selected.json", done.stdout


@pytest.mark.slow
def test_a_search_never_reads_the_test_split(study: Path, searched: tuple[Path, str]) -> None:
    """The choice is the same if the test split is noise, even where the study's seeds vary it."""
    with np.load(study / "data.npz") as arrays:
        noise = dict(arrays)
    noise["x_test"] = np.full_like(noise["x_test"], 1e6)
    noise["y_test"] = 1 - noise["y_test"]
    np.savez(study / "noise.npz", **noise)
    flags = select_flags(study, study / "blind.json", data=study / "noise.npz")
    done = flatreg("train.select", *flags)
    assert done.returncode == 0, done.stderr
    assert (study / "blind.json").read_bytes() == searched[0].read_bytes()


@pytest.mark.slow
def test_a_search_has_the_best_mean_over_its_seeds_and_no_edge(
    searched: tuple[Path, str],
) -> None:
    path, said = searched
    result = json.loads(path.read_text())
    assert result["search"] == {"protocol": "literal", "lambda": "0.1"}
    for point in result["tried"]:
        assert [training["seed"] for training in point["trainings"]] == [7, 8]
        for name in ("validation_accuracy", "validation_loss"):
            values = [training[name] for training in point["trainings"]]
            assert point[name] == pytest.approx(np.mean(values))
    best = max(result["tried"], key=lambda t: (t["validation_accuracy"], -t["validation_loss"]))
    assert result["selected"].items() <= best.items()
    rates = sorted(point["learning_rate"] for point in result["tried"])
    assert rates[:2] == [0.001, 0.003], "two epochs are few: the grid is extended to larger rates"
    assert len(rates) == 2 + sum(result["extensions"].values())
    assert said.count("of the grid: extended to") == sum(result["extensions"].values()) > 0
    on_edge = result["selected"]["learning_rate"] in (rates[0], rates[-1])
    assert bool(result["edges"]) == on_edge == ("after all extensions" in said)


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_after_its_last_training(
    study: Path, searched: tuple[Path, str], tmp_path: Path
) -> None:
    """The first of its trainings are saved, one of them damaged."""
    out = tmp_path / "again.json"
    flags = select_flags(study, out)
    process = subprocess.Popen([sys.executable, "-m", "flatreg.train.select", *map(str, flags)])

    def saved() -> list[Path]:
        return sorted(out.with_suffix(".checkpoints").glob("*/[!.]*-seed-*.json"))

    while len(saved()) < 3:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    first = saved()[0]
    first.write_text(first.read_text().replace("7", "8"))
    done = flatreg("train.select", *flags)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == searched[0].read_bytes()
    assert "trying this training again" in done.stdout
    trainings = sum(len(p["trainings"]) for p in json.loads(out.read_text())["tried"])
    assert done.stdout.count("status completed") <= trainings - 2


@pytest.mark.slow
def test_a_run_trains_with_the_rates_of_its_own_search_alone(
    study: Path, searched: tuple[Path, str]
) -> None:
    flags = train_flags(study, study / "own", LITERAL, selected=searched[0])
    done = flatreg("train", *flags)
    assert done.returncode == 0, done.stderr
    record = json.loads((study / "own/runs" / LITERAL / "metrics.json").read_text())
    selected = json.loads(searched[0].read_text())["selected"]
    assert selected.items() <= record.items()
    plain = LITERAL.replace("0.1", "0")
    other = flatreg("train", *train_flags(study, study / "own", plain, selected=searched[0]))
    assert other.returncode == 2
    assert "is the search of literal at lambda 0.1, not of literal at lambda 0;" in other.stderr
    assert other.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(1, 3), (4,)])
def test_a_run_has_the_same_bytes_in_every_block(
    study: Path, unbroken: Path, sizes: tuple[int, ...], tmp_path: Path
) -> None:
    """Blocks of one, of three, and of all; the runs of the largest are those of the others."""
    rest = list(BLOCK)
    for size in sizes:
        some, rest = rest[:size], rest[size:]
        flags = train_flags(study, tmp_path, *some, checkpoints=tmp_path / "checkpoints")
        done = flatreg("train", *flags, "--logs", tmp_path / "logs")
        assert done.returncode == 0, done.stderr
        assert all("epoch 14/14" in log_of(tmp_path, run).read_text() for run in some)
    assert_same_bytes(tmp_path, unbroken)
    ended = study / "blocks"
    for run in BLOCK:
        for name in COMPARED:
            kept = ended / run / name
            kept.parent.mkdir(parents=True, exist_ok=True)
            if not kept.exists():
                shutil.copyfile(tmp_path / "runs" / run / name, kept)
            assert (tmp_path / "runs" / run / name).read_bytes() == kept.read_bytes()


@pytest.mark.slow
def test_a_block_that_is_killed_goes_on_and_does_nothing_twice(
    study: Path, unbroken: Path, tmp_path: Path
) -> None:
    checkpoints, logs = tmp_path / "checkpoints", [log_of(tmp_path, run) for run in BLOCK]
    flags = train_flags(study, tmp_path, *BLOCK, checkpoints=checkpoints, logs=tmp_path / "logs")
    process = subprocess.Popen([sys.executable, "-m", "flatreg.train", *map(str, flags)])
    while process.poll() is None and not (checkpoint_steps(checkpoints) and logs[1].exists()):
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "runs").exists(), "files are put in their places when all are finished"
    finished = len(list(checkpoints.glob("*/finished")))
    assert finished >= 1
    done = flatreg("train", *flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("this run is already finished") == finished
    assert all("epoch 14/14" in log.read_text() for log in logs)
    assert_same_bytes(tmp_path, unbroken)


@pytest.mark.slow
def test_a_lane_that_diverges_ends_alone(study: Path, unbroken: Path, tmp_path: Path) -> None:
    """A penalty of 1e30 is not finite in its first step."""
    config_file = tmp_path / "config.json"
    changed = json.loads((study / "config.json").read_text())
    changed["protocols"]["stated"]["datasets"]["breast_cancer"]["lambdas"].append("1e38")
    config_file.write_text(json.dumps(changed))
    strong = RUN.replace("0.01", "1e38")
    flags = train_flags(study, tmp_path, strong, RUN, checkpoints=tmp_path / "checkpoints")
    done = flatreg("train", *flags, "--config", config_file)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "runs" / strong / "metrics.json").read_text())
    assert record["status"] == "diverged"
    assert record["diverged_step"] == 10
    assert_same_bytes(tmp_path, unbroken)


@pytest.mark.slow
def test_measuring_a_run_writes_both_splits(study: Path, unbroken: Path) -> None:
    done = flatreg(
        *["measure", "--config", study / "config.json", "--runs", unbroken / "metrics.json"],
        *["--data", study / "data.npz", "--threads", 1],
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((unbroken / "curvature.json").read_text())
    assert found["train"]["examples"] == 256
    assert found["test"]["examples"] == 114
    for split in ("train", "test"):
        assert found[split]["tr_h2"] > 0
        assert found[split]["lambda_max"] <= np.sqrt(found[split]["tr_h2"]) * 1.2


@pytest.mark.slow
def test_a_run_is_measured_at_its_last_epoch_too(
    study: Path, unbroken: Path, tmp_path: Path
) -> None:
    """Of two copies of a run, one kept other parameters than those of its last epoch."""
    earlier, last = (tmp_path / name / "runs" / RUN for name in ("earlier", "last"))
    for folder, factor, epoch in ((earlier, 1.5, 13), (last, 1.0, 14)):
        shutil.copytree(unbroken, folder)
        params = load_params(folder / "last.npz")
        kept = jax.tree.map(lambda leaf, factor=factor: np.float32(factor) * leaf, params)
        save_params(folder / "params.npz", kept)
        record = read_sealed(folder / "metrics.json") | {"kept_epoch": epoch}
        record["params.npz_sha256"] = sha256(folder / "params.npz")
        write_sealed(folder / "metrics.json", record)
    done = flatreg(
        *["measure", "--config", study / "config.json", "--data", study / "data.npz"],
        *["--threads", 1, "--runs", *(folder / "metrics.json" for folder in (earlier, last))],
    )
    assert done.returncode == 0, done.stderr
    of_earlier, of_last = (
        json.loads((folder / "curvature.json").read_text()) for folder in (earlier, last)
    )
    assert of_last["last"] == of_last["train"] == of_earlier["last"]
    assert of_earlier["train"] != of_earlier["last"]


def test_the_suite_runs_the_code_of_this_repository() -> None:
    done = flatreg("train", "--help")
    assert done.returncode == 0
    assert "--runs" in done.stdout
    assert os.path.commonpath([config.__file__, ROOT]) == str(ROOT)
