"""Arms of the study of intermittence: protocols that differ in interval, scaling and clip alone."""

from __future__ import annotations

from typing import NamedTuple

from flatreg.config import BASELINE, Config, lineage


class Arm(NamedTuple):
    """How a protocol applies the penalty: at which steps, scaled how, under which clip."""

    interval: int
    scaling: str
    clip: float | None

    def in_words(self) -> str:
        """The arm's name in a legend."""
        fold = f", {self.interval}-fold weight" if self.scaling == "interval_fold" else ""
        steps = "every step" if self.interval == 1 else f"every {self.interval}th step{fold}"
        return steps if self.clip is None else f"{steps}, clipped"


def with_fixed_rates(study: Config, protocol: str) -> list[str]:
    """The protocols that differ from one only in that every lambda has plain training's rates."""
    return [name for name in _family(study, protocol) if _arm(study, name) == _arm(study, protocol)]


def arms_of(study: Config, protocol: str) -> dict[str, str]:
    """The protocols that differ from one in interval and clip alone, with what their arm is called.

    All have plain training's rates; the one without such rates takes part if there is no other.
    """
    base = _arm(study, protocol)
    first = next(iter(with_fixed_rates(study, protocol)), protocol)
    others = {name: _arm(study, name) for name in _family(study, protocol)}
    arms = {first: base} | {name: arm for name, arm in others.items() if arm != base}
    return {name: arm.in_words() for name, arm in arms.items()}


def _family(study: Config, protocol: str) -> list[str]:
    """The protocols that extend one, at any remove, with the same training at fixed rates."""
    return [
        name
        for name in study["protocols"]
        if name != protocol and protocol in lineage(study, name) and _alike(study, name, protocol)
    ]


def _alike(study: Config, name: str, base: str) -> bool:
    """Whether two protocols differ in rates, interval, scaling and clip alone, on a data set."""
    theirs, ours = (study["protocols"][protocol]["datasets"] for protocol in (name, base))
    shared = [dataset for dataset in theirs if dataset in ours]
    return any(
        _fixed(theirs[dataset]) and _rest(theirs[dataset]) == _rest(ours[dataset])
        for dataset in shared
    )


def _fixed(training: Config) -> bool:
    search = training["search"]
    return search is not None and search["lambda"] == BASELINE


def _rest(training: Config) -> Config:
    """A training without what the arms of the study of intermittence differ in."""
    free = ("search", "lambdas", "seeds", "clip_norm", "penalty")
    penalty = {k: v for k, v in training["penalty"].items() if k not in ("interval", "scaling")}
    return {key: part for key, part in training.items() if key not in free} | {"penalty": penalty}


def _arm(study: Config, protocol: str) -> Arm:
    """The arm of a protocol, on its first data set."""
    training = next(iter(study["protocols"][protocol]["datasets"].values()))
    penalty = training["penalty"]
    # At an interval of 1 both scalings are the same.
    scaling = "" if penalty["interval"] == 1 else penalty["scaling"]
    return Arm(penalty["interval"], scaling, training["clip_norm"])
