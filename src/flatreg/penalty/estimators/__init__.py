"""Estimators of tr(H^2) and its rivals: one module for each, with a function of its name.

A new estimator is a new module in this folder, which the config may name at once. Its constant
`TARGET` says what it estimates, as `flatreg.penalty.Estimator` does, and `NEEDS`, if it has that,
which layers: a dense first layer on the input ("dense_first"), no layer but that ("dense_only"), or
a chain of dense layers ("dense_chain"). Its function takes a `loss`, or `logits` and a `loss` of
these if it needs the model apart from the loss, or a `layer` if it needs a model whose first layer
is linear in its parameters, or a `network` if it needs a chain of dense layers; `probes` and
`distribution` if it draws probes. It returns an `Estimator`, whose `trace` passes keyword arguments
on to the loss, or refuses them as `exact` does.
"""
