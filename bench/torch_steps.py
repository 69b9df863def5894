"""Training steps in PyTorch: `python -m bench.torch_steps THREADS SHAPE`.

This module runs in an environment of its own. For each line "NAME COUNT" on standard input it runs
COUNT steps of "plain" or "penalized" and prints their seconds. To be a fair peer, the double
backward shares one graph for loss and gradient, and accumulates the penalty's gradient probe by
probe.
"""

from __future__ import annotations

import json
import sys
import time

import torch

from bench import networks
from bench.networks import Shape

WEIGHT = 1e-6


def make_model(shape: Shape) -> torch.nn.Sequential:
    """The network, with the same parameters as JAX's."""
    layers: list[torch.nn.Module] = []
    for kernel, bias in networks.parameters(shape):
        linear = torch.nn.Linear(*kernel.shape)
        linear.weight.data = torch.from_numpy(kernel.T.copy())
        linear.bias.data = torch.from_numpy(bias)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def signs(like: torch.Tensor) -> torch.Tensor:
    """Rademacher entries, by the cheapest way in PyTorch."""
    return torch.randint(0, 2, like.shape, dtype=torch.int8).mul_(2).sub_(1).to(like.dtype)


def take_step(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    probes: int,
) -> None:
    """Take one training step; with `probes` 0 it is a plain one."""
    parameters = list(model.parameters())
    logits = model(x)
    if logits.shape[1] == 1:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], y.float())
    else:
        loss = torch.nn.functional.cross_entropy(logits, y)
    slopes = torch.autograd.grad(loss, parameters, create_graph=probes > 0)
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter.grad = slope.detach().clone() if probes else slope
    for number in range(probes):
        vectors = [signs(p) for p in parameters]
        products = torch.autograd.grad(slopes, parameters, vectors, create_graph=True)
        penalty = sum(h.square().sum() for h in products) * (WEIGHT / probes)
        more = torch.autograd.grad(penalty, parameters, retain_graph=number + 1 < probes)
        for parameter, part in zip(parameters, more, strict=True):
            parameter.grad.add_(part)
    optimizer.step()


def main() -> None:
    """Serve steps until standard input ends."""
    torch.set_num_threads(int(sys.argv[1]))
    raw = json.loads(sys.argv[2])
    shape = Shape(**raw | {"hidden": tuple(raw["hidden"])})
    x, y = (torch.from_numpy(part) for part in networks.batch(shape))
    y = y.long()
    model = make_model(shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for line in sys.stdin:
        name, count = line.split()
        clock = time.perf_counter()
        for _ in range(int(count)):
            take_step(model, optimizer, x, y, shape.probes if name == "penalized" else 0)
        print(time.perf_counter() - clock, flush=True)


if __name__ == "__main__":
    main()
