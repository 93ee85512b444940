"""JAX: a compiled `lax.scan` over time. XLA chooses its own number of threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import sigmoid
from torch import Tensor

from ..contest import Contestant, as_tensor
from ..problem import Problem


def enter(problem: Problem) -> Contestant:
    cpu = jax.devices("cpu")[0]
    weights = {name: jax.device_put(tensor.numpy(), cpu) for name, tensor in problem.weights.items()}
    x, upstream = (jax.device_put(tensor.numpy(), cpu) for tensor in (problem.x, problem.upstream))
    layers = problem.shape.layers

    def forward(weights: Mapping[str, Any], x: Any) -> Any:
        for layer in range(layers):
            x = _layer(x, *(weights[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
        return x

    if not problem.work.training:
        run = jax.jit(forward)
        return Contestant("jax", lambda: run(weights, x).block_until_ready(), lambda y: {"y": as_tensor(y)})

    def loss(weights: Mapping[str, Any], x: Any) -> Any:
        y = forward(weights, x)
        return jnp.vdot(y, upstream), y  # its gradient with respect to y is `upstream`

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1) if problem.work.input_gradient else (0,), has_aux=True))

    def read(result: Any) -> Mapping[str, Tensor]:
        (dweights, *dx), y = result
        gradients = dict(dweights) | ({"x": dx[0]} if dx else {})
        return {"y": as_tensor(y), **{f"dL/d{name}": as_tensor(value) for name, value in gradients.items()}}

    return Contestant("jax", lambda: jax.block_until_ready(gradient(weights, x)), read)


def _layer(x: Any, W: Any, U: Any, b: Any, b_h: Any) -> Any:
    start = jnp.zeros((x.shape[1], U.shape[1]))

    def step(carry: Any, from_input: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(from_input + h @ U.T, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
        h = sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return jax.lax.scan(step, (start, start), x @ W.T + (b + b_h))[1]
