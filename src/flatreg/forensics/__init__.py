"""What the original's reported numbers can come from; no run is needed."""
