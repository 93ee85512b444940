"""A chain that was read from PyTorch's weights, run by PyTorch's own modules over the file as PyTorch reads it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..runtime.sequential import Dense, Embedding, Pooling, Recurrent, Scaling
from .formats import Asked, format_of
from .pickles import HOLDERS
from .read_torch import GATES, modules_of, read, said_of


def start() -> None:
    """Import torch. ModuleNotFoundError if it is not installed."""
    import torch  # noqa: F401


def answers(path: str, asked: Asked) -> tuple[Callable[[Any], Any], str]:
    """A function of x as `chain.run` takes it, and torch with its version."""
    import torch
    from torch import nn

    from .torch_chain import TorchChain, activated, last_state, pooled

    version = f"torch {torch.__version__.partition('+')[0]}"
    if said_of(path) is not None:
        return on_arrays(TorchChain(path)), version
    chain = read(path, asked)
    modules = {module.name: module.weights for module in modules_of(_tensors(path))}
    layers = {name: _layer(nn, own, asked) for name, own in modules.items() if "weight_ih_l0" in own}

    def run(y: Any) -> Any:
        state, done = None, set()
        for placed in chain.layers:
            name = placed.name.rpartition(" ")[0] if isinstance(placed.layer, Recurrent) else placed.name
            own: Mapping[str, Any] = modules.get(name, {})
            match placed.layer:
                case Embedding():
                    y = nn.functional.embedding(y, own["weight"])
                case Recurrent() as layer:
                    if name not in done:  # one module of torch has all layers of its stack
                        y, state = layers[name](y)
                        done.add(name)
                    if layer.outputs == "end":
                        y = last_state(state, layer.direction == "both")
                case Pooling(of=how):
                    y = pooled(how, y)
                case Dense() as layer:
                    y = activated(layer.activation, nn.functional.linear(y, own["weight"], own.get("bias")))
                case Scaling():
                    y = (y - own["running_mean"]) / torch.sqrt(own["running_var"] + 1e-5)
                    y = y * own.get("weight", 1.0) + own.get("bias", 0.0)
        return y

    return on_arrays(run), version


def on_arrays(module: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A module of torch on numpy's arrays."""
    import torch

    def run(x: Any) -> Any:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # which of torch's own kernels a projection runs on
            return module(torch.from_numpy(np.ascontiguousarray(x))).numpy()

    return run


def _tensors(path: str) -> dict[str, Any]:
    """The weights by name, float32, as torch reads them."""
    import torch

    if format_of(path) == "safetensors":
        from safetensors.torch import load_file

        found: Any = load_file(path)
    else:
        found = torch.load(path, map_location="cpu", weights_only=True)
        held = (found.get(name) for name in HOLDERS)
        found = next((inside for inside in held if isinstance(inside, Mapping)), found)
    return {name: value.float() for name, value in found.items() if isinstance(value, torch.Tensor)}


def _layer(nn: Any, own: Mapping[str, Any], asked: Asked) -> Any:
    """A recurrent module of torch over its weights."""
    projected = own.get("weight_hr_l0")
    units = own["weight_hh_l0"].shape[1] if projected is None else projected.shape[1]
    kind = GATES[len(own["weight_hh_l0"]) // units]
    options: dict[str, Any] = {"bidirectional": "weight_ih_l0_reverse" in own, "bias": "bias_ih_l0" in own}
    if projected is not None:
        options["proj_size"] = len(projected)
    if kind == "rnn":
        options["nonlinearity"] = asked.nonlinearity
    layers = sum(name.startswith("weight_ih") and not name.endswith("_reverse") for name in own)
    module = getattr(nn, kind.upper())(own["weight_ih_l0"].shape[1], units, layers, **options)
    module.load_state_dict(own)
    return module
