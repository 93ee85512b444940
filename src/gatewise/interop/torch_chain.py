"""Loads a .safetensors of `gatewise export --to torch`. Needs torch and safetensors, and no Gatewise: copy it."""

import json
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn


class TorchChain(nn.Module):
    """Layers that read one another's output: tokens (T, B), or numbers (T, B, D), in; steps come first."""

    def __init__(self, path: str):
        super().__init__()
        with safe_open(path, "pt") as file:
            self.said: list[dict[str, Any]] = json.loads(file.metadata()["layers"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
        self.layers = nn.ModuleList(map(_module, self.said))
        self.load_state_dict(weights)

    def forward(self, x: Tensor) -> Tensor:
        layer: Any
        for layer, said in zip(self.layers, self.said, strict=True):
            match said["kind"]:
                case "recurrent":
                    x, state = layer(x)
                    if said["outputs"] == "end":
                        x = last_state(state, said["direction"] == "both")
                case "pooling":
                    x = pooled(said["of"], x)
                case "repeat":
                    x = x.expand(said["length"], *x.shape)
                case "flatten":
                    x = x.transpose(0, 1).flatten(1)
                case "scaling":
                    x = x * layer.weight + layer.bias
                case "convolution":
                    T, stride, span = len(x), said["stride"], (said["length"] - 1) * said["dilation"] + 1
                    behind = max(0, (-(-T // stride) - 1) * stride + span - T) if said["padding"] == "same" else 0
                    before = span - 1 if said["padding"] == "causal" else behind // 2
                    x = nn.functional.pad(x, (0, 0, 0, 0, before, behind - behind // 2))
                    last = len(x) - span + 1
                    x = layer(torch.cat([x[k : k + last : stride] for k in range(0, span, said["dilation"])], -1))
                case _:
                    x = layer(x)
            x = activated(said.get("activation") or said.get("name") or "linear", x)
        return x


def _module(said: dict[str, Any]) -> nn.Module:
    match said["kind"]:
        case "embedding":
            return nn.Embedding(said["count"], said["size"])
        case "recurrent":
            options = {"proj_size": said["proj_size"]} if said["proj_size"] else {}
            options |= {"nonlinearity": said["nonlinearity"]} if said["torch"] == "RNN" else {}
            both = said["direction"] == "both"
            module: nn.Module = getattr(nn, said["torch"])(
                said["input_size"], said["hidden_size"], bidirectional=both, **options
            )
            return module
        case "dense":
            return nn.Linear(said["inputs"], said["outputs"], said["bias"])
        case "convolution":  # of what stands beside one another
            return nn.Linear(said["length"] * said["inputs"], said["outputs"], said["bias"])
        case "normalisation":
            return nn.LayerNorm(said["size"], said["epsilon"])
        case "scaling":
            found = nn.Module()
            found.weight, found.bias = (nn.Parameter(torch.zeros(said["size"])) for _ in range(2))
            return found
    return nn.Identity()


def last_state(state: Any, both: bool) -> Tensor:
    """Of the last layer that a recurrent module has, in one direction or both."""
    h = state[0] if isinstance(state, tuple) else state
    return torch.cat([*h[-2 if both else -1 :]], -1)


def pooled(how: str, x: Tensor) -> Tensor:
    found: Tensor = {"last": x[-1], "first": x[0], "mean": x.mean(0), "max": x.amax(0)}[how]
    return found


def activated(name: str, x: Tensor) -> Tensor:
    if name == "linear":
        return x
    if name in ("softmax", "log_softmax"):
        return x.softmax(-1) if name == "softmax" else x.log_softmax(-1)
    if name == "hard_sigmoid":
        return (0.2 * x + 0.5).clamp(0, 1)
    called = {"hard_sigmoid_6": "hardsigmoid", "hard_silu": "hardswish", "exponential": "exp"}.get(name, name)
    names = (called, called.replace("_", ""))  # log_sigmoid is logsigmoid
    return next(getattr(own, k) for k in names for own in (torch, nn.functional) if hasattr(own, k))(x)
