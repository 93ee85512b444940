"""Writes a chain as weights of PyTorch: a state_dict in safetensors, which also says the layers, or in .pt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import plain
from ..errors import OptionError
from ..runtime.sequential import Masking, Recurrent
from .as_chain import documents_of
from .cells import recognised
from .chain import Chain
from .layouts import layout
from .proof import Answers
from .read_torch import LAYERS
from .run_torch import on_arrays

SUFFIXES = (".safetensors", ".pt")


def write(chain: Chain, model: Any, path: Path, suffix: str) -> None:
    """Write it.

    Args:
        model: Of the chain; its document goes along.
        suffix: One of `SUFFIXES`.

    Raises:
        OptionError: torch has no such layer.
        MissingExtra: A .pt is written by torch itself, which is not installed.
    """
    documents = said(chain)
    tensors = chain.tensors()
    if suffix == ".pt":
        import torch

        torch.save({name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}, path)
        return
    from safetensors.numpy import save_file

    document = json.dumps(plain(model._whole_document()), allow_nan=False)
    save_file(tensors, path, metadata={LAYERS: json.dumps(documents), "document": document})


def said(chain: Chain) -> list[dict[str, Any]]:
    """What `torch_chain` builds the layers from. OptionError if it cannot."""
    found = documents_of(chain)
    torch = layout("torch")
    for layer, document in zip(chain.kinds, found, strict=True):
        if isinstance(layer, Masking) or document.get("mask_zero"):
            raise OptionError("torch has no masks: it cannot say that steps do not count. Export to onnx or keras")
        if not isinstance(layer, Recurrent):
            continue
        kind = recognised(layer.cell)
        usual = kind is not None and kind.gate == "sigmoid" and not kind.peephole and kind.kind in torch.gates
        made = kind is not None and (kind.candidate == "tanh" or (kind.kind, kind.candidate) == ("rnn", "relu"))
        if kind is None or not usual or not made:
            raise OptionError(
                f"torch has no layer of the cell '{layer.cell.name}'. Export to onnx, which says any cell"
            )
        if layer.direction == "backward" or layer.merge != "concat":
            raise OptionError("torch has no layer that reads backward alone, or merges directions. Export to onnx")
        document |= {"torch": torch.called[kind.kind], "nonlinearity": kind.candidate}
    return found


def answers(path: Path, chain: Chain, suffix: str) -> tuple[Answers, str]:
    """What was written, run by torch; and torch with its version."""
    import torch

    from .torch_chain import TorchChain

    module = _of_pt(path, chain) if suffix == ".pt" else TorchChain(str(path))
    return on_arrays(module), f"torch {torch.__version__.partition('+')[0]}"


def _of_pt(path: Path, chain: Chain) -> Any:
    """The module over a .pt, whose layers the chain says."""
    from tempfile import TemporaryDirectory

    import torch
    from safetensors.torch import save_file

    from .torch_chain import TorchChain

    with TemporaryDirectory() as folder:
        beside = Path(folder) / "weights.safetensors"
        save_file(torch.load(path, weights_only=True), beside, metadata={LAYERS: json.dumps(said(chain))})
        return TorchChain(str(beside))
