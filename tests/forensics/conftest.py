"""The original's numbers, checked against the data sets that it reports on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flatreg import tables
from flatreg.forensics import inspection, reported
from flatreg.forensics.reported import Original
from flatreg.tables.reported import CHECKS_TABLE, GRIM_TABLE
from tests.forensics.helpers import POSTS, manifest


@pytest.fixture(scope="module")
def original(root: Path) -> Original:
    return reported.read(root / "paper/original.json")


@pytest.fixture(scope="module")
def manifests() -> dict[str, dict[str, Any]]:
    posts = [565] * 14 + [566] * 6
    posts[10] += 8  # the largest class, in the test split too
    return {
        "cifar100": manifest("cifar100", [500] * 100, [100] * 100),
        "newsgroups20": manifest("newsgroups20", posts, POSTS),
        "breast_cancer": manifest("breast_cancer", [170, 285], [42, 72]),
    }


@pytest.fixture(scope="module")
def found(original: Original, manifests: dict[str, dict[str, Any]]) -> inspection.Inspection:
    return inspection.inspect(original, manifests, alpha=0.05)


@pytest.fixture(scope="module")
def means(found: inspection.Inspection) -> pd.DataFrame:
    return tables.check(found.grim, GRIM_TABLE, "grim")


@pytest.fixture(scope="module")
def scan(found: inspection.Inspection) -> pd.DataFrame:
    return found.grim_denominators


@pytest.fixture(scope="module")
def triples(found: inspection.Inspection) -> pd.DataFrame:
    return found.triples


@pytest.fixture(scope="module")
def checked(found: inspection.Inspection) -> pd.DataFrame:
    return tables.check(found.checks, CHECKS_TABLE, "checks")
