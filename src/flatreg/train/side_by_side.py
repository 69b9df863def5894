"""Steps of several lanes at once, by `vmap` of the epoch of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from flatreg.train.steps import Carry, Epoch, Fixed, Params, Sums

# Lanes differ in all of these, except the number of the step.
_AXES = Carry(0, 0, Sums(*([0] * len(Sums._fields)))._replace(step=None))

# Parameters of each lane, and the key of its probes.
Lanes = Sequence[tuple[Params, jax.Array]]
# Lanes that are measured at a time, which bounds the memory that all of them need.
AT_A_TIME = 16


def epochs_of(
    epoch: Epoch,
) -> Callable[[Fixed, Sequence[Fixed], Sequence[Carry]], tuple[Carry, ...]]:
    """`run(shared, own, carries) -> carries` of each lane, after the steps of one epoch.

    The arguments are those of `packed`.

    Args:
        epoch: of one lane, of `flatreg.train.steps`.
    """

    def run(shared: Fixed, own: Sequence[Fixed], carries: Sequence[Carry]) -> tuple[Carry, ...]:
        def of_lane(own: Fixed, carry: Carry) -> Carry:
            return epoch(_merged(shared, own), carry)

        carry = _stacked(carries)
        # Steps are counted for all lanes together: the loop's bounds are the same for all.
        carry = carry._replace(sums=carry.sums._replace(step=carries[0].sums.step))
        ended = jax.vmap(of_lane, in_axes=(0, _AXES))(_stacked(own), carry)
        return tuple(_lane(ended, number) for number in range(len(carries)))

    return run


def measures_of(
    sums: Callable[..., Any], coarse: Callable[..., Any]
) -> Callable[[Lanes, dict[str, tuple[Any, Any]], tuple[Any, Any]], list[Any]]:
    """The function `measures` of `flatreg.train.program.Program`.

    Args:
        sums: of `flatreg.train.evaluation.block_sums`.
        coarse: tr(H^2) and its standard error, from parameters, inputs, labels and a key.
    """

    def measures(
        lanes: Lanes, blocks: dict[str, tuple[Any, Any]], examples: tuple[Any, Any]
    ) -> list[Any]:
        def of_lane(lane: tuple[Params, jax.Array]) -> Any:
            params, key = lane
            evaluated = {name: sums(params, *block) for name, block in blocks.items()}
            return evaluated, coarse(params, *examples, key)

        measured = jax.lax.map(of_lane, _stacked(lanes), batch_size=AT_A_TIME)
        return [_lane(measured, number) for number in range(len(lanes))]

    return measures


def packed(
    lanes: Sequence[tuple[Fixed, Carry]], width: int
) -> tuple[Fixed, list[Fixed], list[Carry]]:
    """The arguments of the function of `epochs_of` for `width` lanes.

    Args:
        lanes: the arguments of each, all at the same step.
        width: of `filled`.
    """
    lanes = filled(lanes, width)
    shared, own = _shared_and_own([fixed for fixed, _ in lanes])
    return shared, own, [carry for _, carry in lanes]


def filled(lanes: Sequence[Any], width: int) -> list[Any]:
    """The lanes, and copies of the first for the places that are left of `width`."""
    return [*lanes, *[lanes[0]] * (width - len(lanes))]


def _shared_and_own(fixed: Sequence[Fixed]) -> tuple[Fixed, list[Fixed]]:
    """Divide the arguments of lanes: None stands in each part for what the other part has.

    Arrays that are one object for all lanes are shared: they are on the device once.
    """
    first = fixed[0].first
    lanes = [lane._replace(first=first) for lane in fixed]

    def same(*leaves: Any) -> bool:
        return all(leaf is leaves[0] for leaf in leaves)

    is_shared = jax.tree.map(same, *lanes)
    shared = jax.tree.map(lambda leaf, yes: leaf if yes else None, lanes[0], is_shared)
    own = [jax.tree.map(lambda leaf, yes: None if yes else leaf, lane, is_shared) for lane in lanes]
    return shared, own


def width(lanes: int, most: int) -> int:
    """The number of lanes for which steps are compiled, at least `lanes`.

    It is `most`, or half of it, or a quarter, ...: lanes that end early make few programs.
    """
    while lanes <= (half := -(-most // 2)) < most:
        most = half
    return most


def portion(lanes: int, lane_bytes: int, free_bytes: int) -> int:
    """The number of lanes to train at a time, so that portions fit and have about one size."""
    fitting = max(1, min(lanes, free_bytes // lane_bytes))
    portions = -(-lanes // fitting)
    return -(-lanes // portions)


def _merged(shared: Fixed, own: Fixed) -> Fixed:
    return jax.tree.map(
        lambda ours, lanes: ours if lanes is None else lanes,
        shared,
        own,
        is_leaf=lambda leaf: leaf is None,
    )


def _stacked(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _lane(tree: Any, number: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[number], tree)
