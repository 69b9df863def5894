"""Data sets: read from the caches of their libraries, prepared once, loaded often."""
