"""All tables of checks of the original's reported numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
import pandera.pandas as pa

from flatreg.forensics import checks, deviations
from flatreg.forensics.denominators import denominators_table, grim_table
from flatreg.forensics.reported import Original
from flatreg.tables.reported import GRIM_DENOMINATORS_TABLE, GRIM_TABLE


class Inspection(NamedTuple):
    """All tables, by their names among the tables of the evidence."""

    grim: pd.DataFrame
    grim_denominators: pd.DataFrame
    checks: pd.DataFrame
    triples: pd.DataFrame


def inspect(original: Original, manifests: dict[str, dict[str, Any]], alpha: float) -> Inspection:
    """Check the reported numbers against all their possible origins.

    Args:
        original: the reported numbers.
        manifests: manifests by data set; without any, all tables are empty.
        alpha: intervals cover 1 - alpha.
    """
    scans = [denominators_table(original.accuracies(name), m) for name, m in manifests.items()]
    means = [
        grim_table(original.accuracies(name), manifest, scan)
        for (name, manifest), scan in zip(manifests.items(), scans, strict=True)
    ]
    denominators = _stacked(scans, GRIM_DENOMINATORS_TABLE)
    triples = deviations.triples_table(original, manifests)
    return Inspection(
        grim=_stacked(means, GRIM_TABLE),
        grim_denominators=denominators,
        checks=checks.checks_table(original, manifests, denominators, triples, alpha),
        triples=triples,
    )


def known_manifests(
    original: Original, manifests: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The manifests of the data sets that the original reports on, in its order.

    A study may leave out some or all of these data sets; they are then not checked.
    """
    by_source = {manifest["source"]: manifest for manifest in manifests}
    names = dict.fromkeys(value.dataset for value in original.values)
    return {name: by_source[name] for name in names if name in by_source}


def _stacked(frames: list[pd.DataFrame], table: pa.DataFrameSchema) -> pd.DataFrame:
    """Stack the frames; without any, return an empty frame with the table's columns."""
    columns = pd.DataFrame(columns=list(table.columns))
    return pd.concat(frames, ignore_index=True) if frames else columns
