"""The study's figures, from its tables."""
