"""The evidence to explore: one page without a server, and a notebook for each data set."""
