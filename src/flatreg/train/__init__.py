"""One training, from settings and data to parameters and metrics."""
