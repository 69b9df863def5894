"""Whether searches of learning rates and weight decays can be made as they are asked for."""

from __future__ import annotations

from flatreg.config.study import Config
from flatreg.errors import UserError


def check_search(config: Config, protocol: str, dataset: str) -> None:
    """Check the search of a data set of a protocol, if it has one.

    Raises:
        UserError: it cannot be made.
    """
    training = config["protocols"][protocol]["datasets"][dataset]
    search = training["search"]
    if search is None:
        return
    where = f"config: protocols.{protocol}.datasets.{dataset}.search"
    if used := sorted(set(search["seeds"]) & _seeds(config, dataset)):
        raise UserError(
            f"{where}.seeds: {used[0]} is a seed of the study's runs on {dataset}, which would be"
            " judged by what chose their rates; take others"
        )
    if search["extensions"] and len(search["weight_decay"]) == 2 and 0 in search["weight_decay"]:
        raise UserError(
            f"{where}.weight_decay: 0 and one more have no ratio by which the grid could be"
            " extended; leave 0 out, add a third, or write `extensions: 0`"
        )
    if search["lambda"] is not None and config["protocols"][protocol]["extends"] is None:
        raise UserError(
            f'{where}.lambda: "{search["lambda"]}" is for a protocol beside the one with whose own'
            f" rates it is compared; name that as `protocols.{protocol}.extends`"
        )


def _seeds(config: Config, dataset: str) -> set[int]:
    """The seeds of all runs on a data set."""
    return {
        seed
        for protocol in config["protocols"].values()
        if dataset in protocol["datasets"]
        for seed in protocol["datasets"][dataset]["seeds"]
    }
