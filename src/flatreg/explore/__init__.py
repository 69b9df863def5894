"""Interactive views of the evidence: one HTML page, and one notebook per data set."""
