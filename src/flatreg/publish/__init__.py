"""The finished study, described, kept as the reference and checked against it."""
