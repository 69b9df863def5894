"""How many examples each cell is tested on."""

from __future__ import annotations

from pathlib import Path

from flatreg.config import Config
from flatreg.errors import UserError
from flatreg.files import AGAIN, read_json


def of_test_splits(manifests: list[Path]) -> dict[str, int]:
    """Examples of the test split of each source of data.

    Args:
        manifests: data/SOURCE.json.

    Raises:
        UserError: one is missing, or is no manifest.
    """
    return dict(map(_of_test_split, manifests))


def _of_test_split(path: Path) -> tuple[str, int]:
    manifest = read_json(path)
    try:
        return manifest["source"], manifest["splits"]["test"]["examples"]
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} is no manifest of a data set; {AGAIN}") from error


def of_test_set(
    config: Config, protocol: str, dataset: str, examples: dict[str, int]
) -> int | None:
    """Examples of the test split of a cell's runs; None where nothing says how many.

    Args:
        config: resolved.
        protocol: of the cell.
        dataset: of the cell.
        examples: of `of_test_splits`.
    """
    settings = config["protocols"][protocol]["datasets"][dataset]
    own = settings.get("test_examples")
    return examples.get(settings["source"]) if own is None else own
