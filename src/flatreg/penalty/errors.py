"""Errors about arguments: name, value, and what was expected."""

from __future__ import annotations


class ArgumentError(ValueError):
    """An argument that the penalty cannot use.

    Attributes:
        argument: name of the argument.
    """

    def __init__(self, argument: str, found: str, expected: str) -> None:
        """Put name, value and expectation in one line."""
        super().__init__(f"{argument} is {found}; expected {expected}")
        self.argument = argument


class LossError(ArgumentError):
    """A loss that is not a single real number."""


class ParameterError(ArgumentError):
    """Parameters that are missing or not differentiable."""


class ProbeError(ArgumentError):
    """Fewer than one probe, or an unknown distribution."""


class ModelError(ArgumentError):
    """A model that does not fit the estimator."""


class BatchError(ArgumentError):
    """A batch that is empty, not finite, or not divisible by the devices."""


class StepError(ArgumentError):
    """A missing step, or an interval that is not a whole number above 0."""


class WeightError(ArgumentError):
    """An argument that gives no valid weight of the penalty."""


class DetachedError(ArgumentError):
    """A loss through which the penalty's gradient does not flow."""
