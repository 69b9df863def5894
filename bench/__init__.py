"""Benchmarks of the penalty and of the pipeline; methods are compared side by side, as ratios."""
