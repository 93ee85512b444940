"""The layers of a network as a table: what they are, their weights with shapes, and how many there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..files import size_text

_NAME, _SHAPE, _COUNT = 34, 20, 14  # widths of columns


def layers_table(tensors: Mapping[str, tuple[int, ...]], layers: Mapping[str, str] | None = None) -> str:
    """A line for each layer and, below it, one for each of its weights. A weight of two layers stands at the first.

    Args:
        tensors: Shapes of the weights by name, "encoder.weight_ih_l0" for example, in the order to be shown.
        layers: What a layer is, by its name; only the names are shown otherwise.
    """
    lines = [f"{'layer':<{_NAME}}{'shape':<{_SHAPE}}{'weights':>{_COUNT}}"]
    owners: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in tensors.items():
        owner, _, own = name.rpartition(".")
        owners.setdefault(owner, {})[own] = shape
    for owner, weights in owners.items():
        if owner:
            label = f"{owner}: {layers[owner]}" if layers and owner in layers else owner
            count = sum(map(math.prod, weights.values()))
            lines.append(f"{label[: _NAME + _SHAPE - 1]:<{_NAME + _SHAPE}}{count:>{_COUNT},}")
        for own, shape in weights.items():
            shown = " x ".join(map(str, shape)) or "1"
            number = "" if owner else f"{math.prod(shape):>{_COUNT},}"
            lines.append(f"{('  ' if owner else '') + own:<{_NAME}}{shown:<{_SHAPE}}{number}".rstrip())
    total = sum(map(math.prod, tensors.values()))
    return "\n".join([*lines, f"{'total':<{_NAME}}{size_text(4 * total):<{_SHAPE}}{total:>{_COUNT},}"])


def layers_of(network: Any) -> dict[str, str]:
    """What each layer of a network (a `torch.nn.Module`) is, and the shape of what it gives, by its name.

    T steps, B sequences.
    """
    found = {}
    for name, module in network.named_modules():
        output = _output(module)
        found[name] = f"{_kind(module)}, gives {output}" if output else _kind(module)
    return found


def _kind(module: Any) -> str:
    cell = getattr(module, "cell", None)
    if cell is None or cell.name.startswith("_"):  # a cell that is no choice, but how a linear layer is computed
        return type(module).__name__
    return f"{type(module).__name__} of {cell.name}"


def _output(module: Any) -> str:
    """The shape of what a layer gives, as far as its kind says it; "" for what is no layer by itself."""
    if hasattr(module, "proj_size") and hasattr(module, "bidirectional"):  # `Recurrent`
        return f"(T, B, {(module.proj_size or module.hidden_size) * (1 + bool(module.bidirectional))})"
    for attribute in ("embedding_dim", "out_features"):
        if hasattr(module, attribute):
            return f"(..., {getattr(module, attribute)})"
    if hasattr(module, "out_channels"):
        return f"(B, {module.out_channels}, height, width)"
    return ""
