"""The parameters that the penalty regards, where these are not all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flatreg.penalty.errors import ParameterError

# A tree of bools that is a prefix of the parameters' tree, or a function of a parameter's path.
Where = Any


def select(where: Where | None, params: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The parameters that `where` selects, and `join(selected) -> params`.

    Raises:
        ParameterError: it selects none, or does not fit the parameters.
    """
    if where is None:
        return params, lambda params: params
    return partition(_mask(where, params), params)


def partition(mask: Sequence[bool], tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The leaves of a tree that a mask takes, and `join(taken) -> tree`."""
    leaves, structure = jax.tree.flatten(tree)

    def join(taken: list[Any]) -> Any:
        ours = iter(taken)
        both = [next(ours) if mine else leaf for leaf, mine in zip(leaves, mask, strict=True)]
        return structure.unflatten(both)

    return [leaf for leaf, mine in zip(leaves, mask, strict=True) if mine], join


class Taken(NamedTuple):
    """Whether H is taken in the kernel of a dense layer, and in its bias."""

    kernel: bool
    bias: bool


@jax.tree_util.register_pytree_node_class
class Selected(tuple):
    """Coordinates zeta, a tuple, that know which of the parameters H is taken in.

    `enter` sees the parameters, and `trace` the coordinates alone.

    Attributes:
        taken: for each part, whether it is; static, so it can be compared and hashed.
    """

    taken: Any

    def __new__(cls, zeta: tuple[Any, ...], taken: Any) -> Selected:
        """The same coordinates, with `taken`."""
        made = super().__new__(cls, zeta)
        made.taken = taken
        return made

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        """The coordinates, and what is static."""
        return tuple(self), self.taken

    @classmethod
    def tree_unflatten(cls, taken: Any, zeta: Any) -> Selected:
        """The inverse of `tree_flatten`."""
        return cls(tuple(zeta), taken)


def parts_taken(where: Where, params: Any, split: Callable[[Any], Any]) -> Any:
    """Which parts of `split(params)` are selected: the same tree with a bool for each part.

    Raises:
        ParameterError: `where` selects none of the parameters, or does not fit them, or a part
            is selected in part.
    """
    leaves, structure = jax.tree.flatten(params)
    # Views of one bool: `split` may index and reshape them as it does the parameters.
    marks = [
        np.broadcast_to(np.bool_(mine), jnp.shape(leaf))
        for leaf, mine in zip(leaves, _mask(where, params), strict=True)
    ]
    with jax.ensure_compile_time_eval():
        return jax.tree.map(_taken, split(structure.unflatten(marks)))


def _taken(part: Any) -> bool:
    part = np.asarray(part)
    if part.any() and not part.all():
        raise ParameterError(
            "where",
            f"true for {np.count_nonzero(part)} of the {part.size} numbers of one part of `split`",
            "whole kernels, biases and other arrays here; `autodiff(loss, where=...)` takes any",
        )
    return bool(part.any())


def _mask(where: Where, params: Any) -> list[bool]:
    """Whether each leaf of the parameters is selected.

    Raises:
        ParameterError: none is, or `where` does not fit the parameters.
    """
    mask = _read(where, params)
    if not any(mask):
        raise ParameterError("where", "true for no parameter", "at least one to take H in")
    return mask


def _read(where: Where, params: Any) -> list[bool]:
    if _is_tree_of_bools(where):
        return _spread(where, params)
    if not callable(where):
        expected = "a tree of bools, or a function of a path"
        raise ParameterError("where", type(where).__name__, expected)
    paths = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree.leaves_with_path(params)
    ]
    return [bool(where(path)) for path in paths]


def _is_tree_of_bools(where: Where) -> bool:
    """Whether this is a mask: some modules that are trees can be called too."""
    leaves = jax.tree.leaves(where)
    return bool(leaves) and all(isinstance(leaf, bool | np.bool_) for leaf in leaves)


def _spread(where: Where, params: Any) -> list[bool]:
    """A mask's entry for each leaf of the parameters, of the branch that it stands for."""
    try:
        spread = jax.tree.map(
            lambda taken, branch: [taken] * len(jax.tree.leaves(branch)), where, params
        )
    except ValueError as error:
        raise ParameterError("where", "another tree", "a tree of bools like params") from error
    return jax.tree.leaves(spread)
