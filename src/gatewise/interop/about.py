"""What a file of another library is, without making a model of it, and what would."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from .. import bundle
from ..errors import ModelFileError, OptionError
from ..runtime.sequential import Embedding, described, last_width
from ..tasks.sequential.predictor import SIGMOIDS, are_labels, last_activation
from .chain import Chain
from .formats import OF_WEIGHTS, Asked, chosen, format_of
from .read_torch import READS
from .restoring import document_in, metadata_of

# What files of weights may not say: an option of `import`, what it is guessed to be, and what it may be.
_UNSAID = {
    "reads": ("last", f"{', '.join(READS[:-1])} or {READS[-1]}"),
    "activation": ("relu", "relu, tanh, linear or another"),
    "nonlinearity": ("tanh", "tanh or relu"),
}
_OF_CLASSES = ("softmax", "log_softmax", *SIGMOIDS)
_MOST_CLASSES = 1000  # beyond which answers are rather tokens


@dataclass(frozen=True)
class About:
    """A file of another library.

    Attributes:
        format: What it is, in words.
        document: Of the model that was exported into it; None if it is none of ours.
        proof: How far the file was from that model when it was written, where the file says so.
        chain: Its layers; None if they are no chain.
        refused: Why they are none, or what `import` would need to know; then there is no command.
        command: That makes a model of it.
        choices: What is guessed in the command, and what may be added, each a line.
    """

    format: str
    document: Mapping[str, Any] | None
    proof: str
    chain: Chain | None = None
    refused: str = ""
    command: str = ""
    choices: tuple[str, ...] = ()


def about(path: str) -> About | None:
    """A file of PyTorch, Keras, ONNX or safetensors; None of any other file, a model file of ours among them.

    Raises:
        ModelFileError: It holds a document that is none.
        MissingExtra: What reads it is not installed.
    """
    if not os.path.isfile(path):  # a pipe can be read but once
        return None
    try:
        name = format_of(path)
        metadata = metadata_of(path, name)
    except ModelFileError:  # what is wrong with a file is said by what reads models and data
        return None
    if name == "safetensors" and bundle.KEY in metadata:
        return None
    form, document = chosen(name), document_in(path, name, metadata)
    proof = "" if document is None else str(metadata.get("difference", ""))
    try:
        chain, asked = _chain(path, name)
    except (ModelFileError, OptionError) as error:
        return About(form.called, document, proof, refused=str(error))
    options = "".join(f" --{option} {value}" for option, value in asked.items())
    command = f"gatewise import {shlex.quote(path)} -o {shlex.quote(Path(path).stem)}.gatewise{options}"
    choices = [
        f"--{option} {value} is a guess, as the file does not say: {_UNSAID[option][1]}"
        for option, value in asked.items()
    ]
    choices += _names(chain) if document is None else []
    return About(form.called, document, proof, chain, command=command, choices=tuple(choices))


def _chain(path: str, name: str) -> tuple[Chain, dict[str, str]]:
    """The layers of a file, and what had to be said for them, as little as will do.

    Raises:
        ModelFileError: They are no chain.
        OptionError: None of it will do.
    """
    first: OptionError | None = None
    names = _UNSAID if name in OF_WEIGHTS else ()
    for count in range(len(names) + 1):
        for some in combinations(names, count):
            asked = {option: _UNSAID[option][0] for option in some}
            try:
                return chosen(name).read(path, Asked(**asked)), asked
            except OptionError as error:
                first = first or error
    assert first is not None
    raise first


def _names(chain: Chain) -> list[str]:
    """What a user may name of it."""
    found, first = [], chain.kinds[0]
    if isinstance(first, Embedding):
        found.append(f"--vocabulary FILE: its {first.count:,} tokens, if it reads text")
    outputs, activation = last_width(chain.kinds), last_activation(chain.kinds)
    if are_labels(chain.kinds):
        found.append(f"--classes NAMES: its {outputs:,} labels, any number of which may hold, with commas between them")
    elif activation in _OF_CLASSES and outputs <= _MOST_CLASSES:
        found.append(f"--classes NAMES: its {max(outputs, 2):,} classes, with commas between them")
    return found


def layers_in_words(chain: Chain) -> str:
    """Its layers, and how many numbers they have learned."""
    return f"{described(chain.kinds)}; {sum(array.size for array in chain.tensors().values()):,} weights"
