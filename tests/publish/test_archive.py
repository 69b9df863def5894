"""An archive gives back what was put into it, or says in one line what is wrong with it."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flatreg import config
from flatreg.config import Config
from flatreg.disk.files import json_text, sealed, sha256
from flatreg.disk.runs import run_dir
from flatreg.errors import UserError
from flatreg.publish import archive, confirm, unpack
from flatreg.publish.archive import LIST
from tests.copies import ROOT
from tests.studies import SCHEMA, make_up, write

CONFIG = [ROOT / "config.yaml", ROOT / "profiles/demo/study.yaml"]
RESULTS = Path("results/demo")
RUN = "runs/stated/digits/lambda-0.1/seed-1"
METRICS = f"{RUN}/metrics.json"
# Files of a study that no archive has, besides those of `archive.MADE`.
LEFT_OUT = ["data/digits.npz", "checkpoints/a/b", "logs/train.log", "benchmarks/figures/cost.tsv"]
OTHERS = [
    *["data/digits.json", "selection/literal/digits/lambda-0.json", "surfaces/digits.npz"],
    *["examples/digits.npz", "examples/digits.npz.sha256", "tables/estimates.csv"],
    "sample_sizes/digits.csv",
    *["benchmarks/data/digits.tsv", "benchmarks/blocks/train_a.tsv"],
]
MADE = [
    *["tables/metrics.csv", "figures/cost.svg", "notebooks/digits.html", "explore.html"],
    "ro-crate-metadata.json",
]

Contents = dict[str, bytes]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A finished study in the working folder, which is fresh; its files have made-up contents."""
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    study = config.read(CONFIG, SCHEMA)
    make_up(study, Path(), *LEFT_OUT, *OTHERS, *MADE)
    checksum = RESULTS / "examples/digits.npz.sha256"
    checksum.write_text(f"{sha256(RESULTS / 'examples/digits.npz')}  digits.npz\n")
    return study


@pytest.fixture
def packed(study: Config, tmp_path: Path) -> Path:
    """The study's archive; the working folder is another, empty one."""
    archive.write(study, tmp_path / "archive.tar.xz")
    (tmp_path / "here").mkdir()
    os.chdir(tmp_path / "here")
    return tmp_path / "archive.tar.xz"


def unpack_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpack into the results of the working folder, as the command does."""
    words = ["unpack", path, "--config", *CONFIG, "--schema", SCHEMA]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    unpack.main()


def test_it_has_the_small_files_and_no_more(study: Config, packed: Path) -> None:
    contents = unpack.read(packed)
    runs = config.runs(study)
    of_runs = {
        run_dir(Path(), *run).joinpath(name).as_posix()
        for run in runs
        for name in archive.RUN_FILES
    }
    assert contents.keys() == {LIST, *OTHERS, *of_runs}
    assert packed.stat().st_size < 20e6


def test_the_same_study_gives_the_same_bytes(study: Config, tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar.xz", tmp_path / "second.tar.xz"
    archive.write(study, first)
    for path in RESULTS.rglob("*"):
        os.utime(path, (time.time(), 1e9))
        path.chmod(0o755)
    archive.write(study, second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        members = tar.getmembers()
    names = [member.name for member in members]
    assert names == [LIST, *sorted(names[1:])]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
        (0, 0, 0, "", "", 0o644)
    }


@pytest.mark.parametrize("form", ["tar", "plain tar", "unpacked", "folder with a tar"])
def test_every_file_comes_back(
    form: str, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents, source = unpack.read(packed), packed
    if form == "plain tar":
        source = tmp_path / "plain.tar"
        unpack.place(contents, tmp_path / "files")
        with tarfile.open(source, "w") as tar:
            tar.add(tmp_path / "files", ".")
    elif form != "tar":
        source = tmp_path / "folder"
        source.mkdir()
        if form == "unpacked":
            unpack.place(contents, source)
        else:
            shutil.copy(packed, source / unpack.NAME)
    unpack_it(source, monkeypatch)
    files = {p.relative_to(RESULTS).as_posix() for p in RESULTS.rglob("*") if p.is_file()}
    assert files == contents.keys() | {".lock"}
    for name, content in contents.items():
        assert (RESULTS / name).read_bytes() == content, name


def test_what_was_unpacked_gives_the_same_archive(
    study: Config, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack_it(packed, monkeypatch)
    for name in MADE:
        write(RESULTS / name, name)
    write(Path(study["paths"]["pdf"]), "the paper")
    archive.write(study, tmp_path / "again.tar.xz")
    assert (tmp_path / "again.tar.xz").read_bytes() == packed.read_bytes()


# ── What is refused ───────────────────────────────────────────────────────────


def edited(contents: Contents) -> Contents:
    return contents | {METRICS: contents[METRICS].replace(b"of", b"OF")}


def without_a_file(contents: Contents) -> Contents:
    return {name: content for name, content in contents.items() if name != METRICS}


def relisted(change: Callable[[dict], object]) -> Callable[[Contents], Contents]:
    """A change of the list by somebody who seals it again."""

    def changed(contents: Contents) -> Contents:
        listing = json.loads(contents[LIST])
        del listing["seal"]
        change(listing)
        kept = {name: content for name, content in contents.items() if name in listing["files"]}
        return {LIST: json_text(sealed(listing)).encode()} | kept

    return changed


def without_a_run(listing: dict) -> None:
    listing["files"] = {n: d for n, d in listing["files"].items() if not n.startswith(RUN)}


def edited_list(contents: Contents) -> Contents:
    return contents | {LIST: contents[LIST].replace(b"0123456789abcdef", b"fedcba9876543210")}


def of_another_layout(contents: Contents) -> Contents:
    text = json_text(json.loads(contents[LIST]) | {"layout": archive.LAYOUT + 1})
    return contents | {LIST: text.encode()}


BAD = {
    "an edited number": (edited, f"{METRICS} was changed after it was archived"),
    "a missing file": (without_a_file, f"{METRICS} is missing"),
    "a missing run": (relisted(without_a_run), f"the run {RUN} has no metrics.json"),
    "an edited list": (edited_list, f"{LIST} was changed after it was made (its seal is broken)"),
    "another layout": (of_another_layout, "has layout 2, and this version of flatreg reads 1"),
    "another config": (
        relisted(lambda listing: listing["config"]["analysis"].update(alpha=0.01)),
        "a study whose config differs in analysis.alpha; undo your change of it, or check out "
        "commit 0123456789",
    ),
    "no list": (lambda contents: {METRICS: contents[METRICS]}, f"it has no {LIST}"),
    "a list of something else": (lambda contents: contents | {LIST: b"[]"}, "has layout None"),
    "a list that is no JSON": (lambda contents: contents | {LIST: b"{"}, "is not valid JSON"),
    "a file more": (lambda contents: contents | {"runs/x": b""}, "runs/x is not in its list"),
    "a file outside": (
        relisted(lambda listing: listing["files"].update({"../../x": sha256(Path(os.devnull))})),
        "../../x",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_contents_are_refused_by_name(
    name: str, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, message = BAD[name]
    changed = change(unpack.read(packed))
    if name == "a file outside":
        changed["../../x"] = b""
    bad = tmp_path / "bad.tar.xz"
    archive.write_tar(bad, changed)
    assert_refused(bad, message, monkeypatch)


def truncated(path: Path, folder: Path) -> Path:
    (folder / "bad.tar.xz").write_bytes(path.read_bytes()[:-2000])
    return folder / "bad.tar.xz"


def no_tar(path: Path, folder: Path) -> Path:
    (folder / "bad.csv").write_text("protocol,dataset\n")
    return folder / "bad.csv"


def empty_folder(path: Path, folder: Path) -> Path:
    (folder / "bad").mkdir()
    return folder / "bad"


def table_beside_it(path: Path, folder: Path) -> Path:
    (folder / "bad").mkdir()
    shutil.copy(path, folder / "bad" / unpack.NAME)
    (folder / "bad/metrics.csv").write_text("an edited number")
    return folder / "bad"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (truncated, "is no archive of a study, or is broken"),
        (no_tar, "is no archive of a study, or is broken"),
        (empty_folder, f"is no archive of a study: it has neither {LIST} nor {unpack.NAME}"),
        (table_beside_it, "metrics.csv is not the table of the study in"),
        (lambda path, folder: folder / "gone", "is missing; name an archive"),
    ],
)
def test_what_is_no_archive_is_refused(
    make: Callable[[Path, Path], Path],
    message: str,
    packed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert_refused(make(packed, tmp_path), message, monkeypatch)


def assert_refused(path: Path, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError) as caught:
        unpack_it(path, monkeypatch)
    assert message in str(caught.value)
    assert list(Path().iterdir()) == []


def test_results_of_another_study_stay(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(RESULTS / METRICS, "ours")
    with pytest.raises(UserError, match="has results of another study"):
        unpack_it(packed, monkeypatch)
    assert (RESULTS / METRICS).read_text() == "ours"
    assert not (RESULTS / LIST).exists()


def test_an_unfinished_study_is_not_archived(study: Config, tmp_path: Path) -> None:
    (RESULTS / RUN / "curvature.json").unlink()
    with pytest.raises(UserError, match=r"curvature\.json is missing; finish the study first"):
        archive.write(study, tmp_path / "archive.tar.xz")
    assert not (tmp_path / "archive.tar.xz").exists()


def test_an_edited_study_is_not_archived(study: Config, tmp_path: Path) -> None:
    write(RESULTS / "examples/digits.npz", "edited")
    with pytest.raises(UserError, match=r"examples/digits\.npz was changed after it was made"):
        archive.write(study, tmp_path / "archive.tar.xz")


# ── After it was unpacked ─────────────────────────────────────────────────────


def test_unpacking_again_puts_back_what_is_gone(
    study: Config, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack_it(packed, monkeypatch)
    confirm.check_kept(study)
    before = (RESULTS / METRICS).read_bytes()
    for change in (lambda path: path.unlink(), lambda path: path.write_text("edited")):
        change(RESULTS / METRICS)
        with pytest.raises(UserError, match=r"metrics\.json (was changed|is missing) since"):
            confirm.check_kept(study)
        unpack_it(packed, monkeypatch)
        assert (RESULTS / METRICS).read_bytes() == before
        confirm.check_kept(study)


def test_a_changed_config_needs_another_archive(
    study: Config, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack_it(packed, monkeypatch)
    confirm.check_kept(study | {"lanes": 3})
    more = json.loads(json.dumps(study))
    more["protocols"]["stated"]["datasets"]["digits"]["seeds"] = [0, 1, 2]
    with pytest.raises(UserError, match=r"differs in protocols\.stated\.datasets\.digits\.seeds"):
        confirm.check_kept(more)


def test_what_is_made_anew_is_compared(
    study: Config, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack_it(packed, monkeypatch)
    for name in MADE:
        write(RESULTS / name, name)
    write(Path(study["paths"]["pdf"]), "the paper")
    assert confirm.confirm(study) == len(MADE)
    write(RESULTS / "figures/cost.svg", "another")
    (RESULTS / "explore.html").unlink()
    with pytest.raises(UserError, match=r"^explore\.html, figures/cost\.svg: not as published"):
        confirm.confirm(study)
