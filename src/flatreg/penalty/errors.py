"""What is wrong with an argument: its name, what it is, and what was expected."""

from __future__ import annotations


class ArgumentError(ValueError):
    """An argument that the penalty cannot work with.

    Attributes:
        argument: its name.
    """

    def __init__(self, argument: str, found: str, expected: str) -> None:
        """Say it in one line."""
        super().__init__(f"{argument} is {found}; expected {expected}")
        self.argument = argument


class LossError(ArgumentError):
    """A loss that is not one real number."""


class ParameterError(ArgumentError):
    """Parameters that are missing or cannot be differentiated in."""


class ProbeError(ArgumentError):
    """A number of probes below 1, or a distribution that is not there."""


class ModelError(ArgumentError):
    """A model that an estimator does not fit."""


class BatchError(ArgumentError):
    """A batch that is empty, not finite, or does not divide the devices."""


class StepError(ArgumentError):
    """A step that is missing, or an interval that is no whole number above 0."""


class WeightError(ArgumentError):
    """What the penalty's weight cannot be made of."""


class DetachedError(ArgumentError):
    """A loss through which the penalty's gradient does not flow."""
