"""The parameters that the penalty regards, where these are not all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

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
    leaves, structure = jax.tree.flatten(params)
    mask = _mask(where, params)
    if not any(mask):
        raise ParameterError("where", "true for no parameter", "at least one to take H in")

    def join(selected: list[Any]) -> Any:
        ours = iter(selected)
        both = [next(ours) if taken else leaf for leaf, taken in zip(leaves, mask, strict=True)]
        return structure.unflatten(both)

    return [leaf for leaf, taken in zip(leaves, mask, strict=True) if taken], join


def _mask(where: Where, params: Any) -> list[bool]:
    """Whether each leaf of the parameters is selected."""
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
    return bool(leaves) and all(isinstance(leaf, bool) for leaf in leaves)


def _spread(where: Where, params: Any) -> list[bool]:
    """A mask's entry for each leaf of the parameters, of the branch that it stands for."""
    try:
        spread = jax.tree.map(
            lambda taken, branch: [taken] * len(jax.tree.leaves(branch)), where, params
        )
    except ValueError as error:
        raise ParameterError("where", "another tree", "a tree of bools like params") from error
    return jax.tree.leaves(spread)
