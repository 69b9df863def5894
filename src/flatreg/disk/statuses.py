"""How far a training is: the words in its record and in the tables."""

from __future__ import annotations

RUNNING = "running"
COMPLETED = "completed"
CONVERGED = "converged"
DIVERGED = "diverged"
# Those of a training that has ended.
STATUSES = (COMPLETED, CONVERGED, DIVERGED)
