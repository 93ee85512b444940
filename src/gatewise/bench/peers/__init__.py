"""The other implementations: one row per peer, each with a module of this folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ...errors import OptionError, suggest


@dataclass(frozen=True)
class Peer:
    """Another implementation of the same work.

    Args:
        label: Its name in the printed table, at most 8 letters.
        enter: "module:function", relative to this folder; the function takes a `Problem` and returns a `Contestant`.
        packages: Packages that it needs.
    """

    label: str
    enter: str
    packages: tuple[str, ...] = ()


PEERS = {
    "torch": Peer("torch", ".pytorch:torch_layer"),
    "lstmcell": Peer("LSTMCell", ".pytorch:torch_cells"),
    "onnxruntime": Peer("ORT", ".onnxruntime:enter", ("onnx", "onnxruntime")),
    "jax": Peer("JAX", ".jax:enter", ("jax",)),
    "keras": Peer("Keras", ".keras:enter", ("keras",)),
    "eager": Peer("eager", ".loops:eager"),
    "compiled": Peer("compiled", ".loops:compiled"),
}


def choose(names: Iterable[str] | None, compiled: bool = False) -> tuple[str, ...]:
    """The peers of these names, or all that are installed if None.

    Args:
        compiled: Include `torch.compile`, which takes half a minute or more for each loop.

    Raises:
        OptionError: A name is unknown, or its package is not installed.
    """
    if names is None:
        return tuple(name for name in PEERS if not missing(name) and (compiled or name != "compiled"))
    chosen = tuple(names)
    for name in chosen:
        if name not in PEERS:
            raise OptionError(suggest("peer", name, PEERS))
        if lacks := missing(name):
            wanted = " and ".join(lacks)
            raise OptionError(
                f"the peer '{name}' needs {wanted}, not installed here. Install it: pip install {' '.join(lacks)}, or "
                f"leave '{name}' out of --peers"
            )
    return chosen + (("compiled",) if compiled and "compiled" not in chosen else ())


def missing(name: str) -> list[str]:
    """The packages of this peer that are not installed."""
    return [package for package in PEERS[name].packages if find_spec(package) is None]


def enter(name: str, problem: Any) -> Any:
    """The peer as a contestant."""
    module, _, function = PEERS[name].enter.partition(":")
    return getattr(import_module(module, __name__), function)(problem)
