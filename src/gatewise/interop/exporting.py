"""A model of ours as a file of another library, proved before it is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError, extras_named
from ..files import atomic
from ..tasks import load
from ..tasks.members import cannot
from . import chain as chains
from .as_chain import chain_of, chain_of_classifier
from .as_ensemble import ensemble_of
from .formats import FORMATS
from .itself import prove_chain
from .proof import Answers, CannotRunError, Proof, compared, examples, logarithms, prove


@dataclass(frozen=True)
class Target:
    """A library that models are written for.

    Attributes:
        writer: The module of `interop` that has `SUFFIXES`, of file names; `write(chain, model, path, suffix)`; and
            `answers(path, chain, suffix)`: a function of x that computes with the library itself, and its version.
        packages, install: What `answers` needs, and how to get it; what it would need, where it can run nothing.
        masks: Whether the library can say that steps do not count.
        ensembles: The module that has `write(ensemble, model, path)`, `answers(path)` and `batches(ensemble)`, of
            examples as it reads them, for classifiers that are no chain; empty if there is none.
    """

    writer: str
    packages: tuple[str, ...]
    install: str
    masks: bool = False
    ensembles: str = ""


TARGETS: Mapping[str, Target] = {
    "torch": Target("write_torch", ("torch",), "pip install 'gatewise[train]'"),
    "keras": Target("write_keras", FORMATS["keras"].packages, FORMATS["keras"].install, True, "write_keras_ensemble"),
    "rtneural": Target("write_rtneural", ("RTNeural",), ""),
    "nam": Target("write_nam", ("Neural Amp Modeler",), ""),
}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: The file.
        proof: Whether it computes what the model does.
        left_out: What of the model is not in it, a sentence; empty if all is.
    """

    path: Path
    proof: Proof
    left_out: str = ""


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
    if estimator.members_:
        raise cannot(f"a file of {to} holds one; onnx, c and html hold several")
    estimator.compressed_ = None  # what is exported multiplies floats, whatever the file holds
    if target.ensembles and estimator.task == "classify" and chain_of_classifier(estimator, target.masks) is None:
        return _export_ensemble(estimator, target, output)
    chain = chain_of(estimator, target.masks)
    own = prove_chain(estimator, chain)

    def proved(theirs: Answers, peer: str) -> Proof:
        ours, others = (compared(chain.kinds, answers) for answers in (lambda x: chains.run(chain, x), theirs))
        return prove(ours, others, peer, examples(chain.kinds, chain.steps)).with_chain(own)

    with extras_named(), atomic(output) as temporary:
        writer.write(chain, estimator, temporary, suffix)
        proof = _proof(target, lambda: writer.answers(temporary, chain, suffix), proved)
    return Exported(output, proof)


def _export_ensemble(model: Any, target: Target, output: Path) -> Exported:
    """A classifier that is no chain."""
    ensemble = ensemble_of(model)
    compares = logarithms if ensemble.kind == "category" else np.asarray
    with extras_named(), atomic(output) as temporary:
        writer = import_module(f".{target.ensembles}", __package__)
        writer.write(ensemble, model, temporary)

        def proved(theirs: Answers, peer: str) -> Proof:
            pairs = writer.batches(ensemble)
            return prove(lambda pair: compares(pair[1]), lambda pair: compares(theirs(pair[0])), peer, pairs)

        proof = _proof(target, lambda: writer.answers(temporary), proved)
    return Exported(output, proof, ensemble.left_out)


def _proof(
    target: Target, answers: Callable[[], tuple[Answers, str]], proved: Callable[[Answers, str], Proof]
) -> Proof:
    """What `proved` makes of a function that runs the file in its library, and of the library's name and version."""
    try:
        theirs, peer = answers()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in target.packages:
            raise
        return Proof(target.packages[0], install=target.install)
    except CannotRunError as error:
        return Proof(target.packages[0], reason=str(error))
    return proved(theirs, peer)
