"""A model of ours as a file of another library, proved before it is kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import OptionError, extras_named
from ..files import atomic
from ..tasks import load
from . import chain as chains
from .as_chain import chain_of
from .chain import Chain
from .formats import FORMATS
from .itself import prove_chain
from .proof import CannotRunError, Proof, compared, examples, prove


@dataclass(frozen=True)
class Target:
    """A library that models are written for.

    Attributes:
        writer: The module of `interop` that has `SUFFIXES`, of file names; `write(chain, model, path, suffix)`; and
            `answers(path, chain, suffix)`: a function of x that computes with the library itself, and its version.
        packages, install: What `answers` needs, and how to get it; what it would need, where it can run nothing.
        masks: Whether the library can say that steps do not count.
    """

    writer: str
    packages: tuple[str, ...]
    install: str
    masks: bool = False


TARGETS: Mapping[str, Target] = {
    "torch": Target("write_torch", ("torch",), "pip install 'gatewise[train]'"),
    "keras": Target("write_keras", FORMATS["keras"].packages, FORMATS["keras"].install, masks=True),
    "rtneural": Target("write_rtneural", ("RTNeural",), ""),
    "nam": Target("write_nam", ("Neural Amp Modeler",), ""),
}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: The file.
        weights: How many numbers are in it.
        proof: Whether it computes what the model does.
    """

    path: Path
    weights: int
    proof: Proof


def export_chain(model: str | os.PathLike[str], to: str, output: Path) -> Exported:
    """Write a model as a file of another library, and run it there, where that is installed.

    What is written is a chain of layers. Its answers are compared with the model's own, and with the library's.

    Raises:
        OptionError: The library cannot say it.
        ModelFileError: The chain or the library answers something else; nothing is left behind then.
        MissingExtra: What writes it is not installed.
    """
    target = TARGETS[to]
    with extras_named():
        writer = import_module(f".{target.writer}", __package__)
    suffix = output.suffix.lower()
    if suffix not in writer.SUFFIXES:
        raise OptionError(f"'{output}' does not end in {' or '.join(writer.SUFFIXES)}, as files of {to} do")
    estimator = load(model)
    estimator.compressed_ = None  # what is exported multiplies floats, whatever the file holds
    chain = chain_of(estimator, target.masks)
    own = prove_chain(estimator, chain)
    with extras_named(), atomic(output) as temporary:
        writer.write(chain, estimator, temporary, suffix)
        proof = _proof(target, writer, chain, temporary, suffix).with_chain(own)
    return Exported(output, sum(array.size for array in chain.tensors().values()), proof)


def _proof(target: Target, writer: Any, chain: Chain, path: Path, suffix: str) -> Proof:
    try:
        theirs, peer = writer.answers(path, chain, suffix)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in target.packages:
            raise
        return Proof(target.packages[0], install=target.install)
    except CannotRunError as error:
        return Proof(target.packages[0], reason=str(error))
    ours, theirs = (compared(chain.kinds, answers) for answers in (lambda x: chains.run(chain, x), theirs))
    return prove(ours, theirs, peer, examples(chain.kinds, chain.steps))
