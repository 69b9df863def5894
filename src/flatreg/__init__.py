"""flatreg: flatness-aware regularization in JAX, and the study of it."""
