"""The times of a study's stages, from benchmark files in Snakemake's format."""

from __future__ import annotations

from pathlib import Path

import pytest

from flatreg.errors import UserError
from flatreg.publish import stages

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(folder: Path, name: str, seconds: float, processor: float) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:01\t1\t1\t1\t1\t0\t0\t90\t{processor}\n")


def test_each_job_counts_in_its_stage(tmp_path: Path) -> None:
    run = "runs/stated/digits/lambda-0/seed-0"
    benchmark(tmp_path, f"{run}/train.tsv", 60, 50)
    benchmark(tmp_path, "blocks/train_stated_digits_1.tsv", 30, 28)
    benchmark(tmp_path, "blocks/measure_stated_digits_1.tsv", 12, 6)
    benchmark(tmp_path, "tables/claims.tsv", 6, 3)
    benchmark(tmp_path, "ro-crate-metadata.tsv", 6, 3)
    text = stages.markdown(stages.by_stage(stages.read(tmp_path)))
    assert text.splitlines()[2:] == [
        "| train | 2 | 1.5 | 1.3 |",
        "| measure | 1 | 0.2 | 0.1 |",
        "| tables and evidence | 1 | 0.1 | 0.1 |",
        "| other | 1 | 0.1 | 0.1 |",
        "| all | 5 | 1.9 | 1.5 |",
    ]


def test_a_folder_without_benchmarks_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no benchmarks; run the study first"):
        stages.read(tmp_path)
