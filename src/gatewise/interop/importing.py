"""A file of another library as a model of ours, proved before it is written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import bundle
from ..errors import GatewiseError, ModelFileError, OptionError
from ..runtime import ops, sequential
from ..runtime.sequence_model import forward as of_generator
from ..tasks.classify.architecture import forward as of_classifier
from ..tasks.sequential.estimator import Sequential
from ..tasks.sequential.predictor import last_activation
from ..tasks.sequential.texts import Tokens, kind_of
from . import chain as chains
from . import proof_process
from .as_classifier import classifier
from .as_generator import generator
from .chain import Chain
from .formats import OF_WEIGHTS, Asked, chosen, format_of
from .itself import prove_chain
from .proof import Answers, CannotRunError, Proof, compared, examples, logarithms, prove
from .read_torch import said_of
from .restoring import document_in, metadata_of, restored

Array = np.ndarray

TASKS = ("sequential", "classify", "generate")
_MOST_NAMES = 64 << 20  # bytes of a file of names


@dataclass(frozen=True)
class Imported:
    """What `import_model` did.

    Attributes:
        model: The estimator.
        format: What the file is, in words.
        layers: What the model is made of, in words.
        proof: Whether it computes what its own library does.
        notes: What was chosen or left out.
    """

    model: Any
    format: str
    layers: str
    proof: Proof
    notes: tuple[str, ...]


def import_model(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    task: str | None = None,
    vocabulary: str | os.PathLike[str] | Sequence[str] | Mapping[str, int] | None = None,
    classes: str | Sequence[str] | None = None,
    nonlinearity: str | None = None,
    reads: str | None = None,
    activation: str | None = None,
    layers: Sequence[str] = (),
    force: bool = False,
    **columns: Any,
) -> Imported:
    """Read a model of PyTorch, Keras or ONNX, and write it as a model file.

    Where its own library is installed, the same inputs go through both before the file is written. A file that was
    exported here comes back as the model that it was, of its own task, if nothing else is said.

    Args:
        path: The file. What it is shows in its content.
        output: The model file to write.
        task: "generate" for a model that continues text; "classify" for one of texts, as a `Classifier` where one of
            ours can be that network; else numbers in, numbers out.
        vocabulary: Tokens in the order of their numbers, or a mapping of tokens to numbers; or a file of these: a token
            a line, or JSON.
        classes: Names of the classes, in order; with commas between them, or a file with one a line.
        nonlinearity, reads, activation, layers: See `formats.Asked`.
        force: Replace `output`.
        columns: Of tables: `columns`, `key`, `time` and `target`, as `Sequential` has them.

    Raises:
        ModelFileError: The file cannot be read, `output` not be written, or the proof failed.
        OptionError: The file does not say enough, or an option does not go with it.

    Example:
        >>> gatewise.import_model("weights.pt", "model.gatewise", reads="last").proof
    """
    path, kind = os.fspath(path), task or ("sequential" if classes is None else "classify")
    if kind not in TASKS:
        raise OptionError(f"task={kind!r:.40} is none that a model can be imported for: {', '.join(TASKS)}")
    bundle.check_name(output)
    bundle.writable(output, force)
    tokens = None if vocabulary is None else read_vocabulary(vocabulary)
    names = None if classes is None else read_classes(classes)
    if kind == "classify" and names is None:
        raise OptionError("task='classify' needs the names of the classes. Add --classes")
    if kind == "generate" and (tokens is None or names is not None):
        raise OptionError("task='generate' needs the tokens of the text, and no classes. Add --vocabulary")
    name = format_of(path)
    if name == "safetensors":
        with suppress(ModelFileError):
            bundle.read_header(path)
            raise OptionError(f"'{path}' is a model of Gatewise already, which needs no import")
    asked = Asked(nonlinearity, reads, activation, tuple(layers))
    if asked != Asked() and (name not in OF_WEIGHTS or said_of(path) is not None):
        given = next(option for option, value in vars(asked).items() if value)
        raise OptionError(f"'{path}' says itself what its layers are, so that {given} is not asked for. Leave it out")
    if kind == "generate" and reads is None:
        asked = replace(asked, reads="steps")
    form = chosen(name)
    chain = form.read(path, asked)
    training = _training(path, name, chain)
    unsaid = task is None and tokens is None and names is None and not columns
    document = document_in(path, name, metadata_of(path, name)) if unsaid else None
    if document is None:
        made = _made(chain, task, tokens, names, training, columns)
    else:
        made = _restored(document, chain, training)
    proof = _proof(name, path, chain, asked, made)
    notes = (*chain.notes, *made.notes)
    made.model.provenance_["imported"] |= {"notes": list(notes), "proof": asdict(proof)}
    made.model.save(output)
    return Imported(made.model, form.called, sequential.described(chain.kinds), proof, notes)


@dataclass(frozen=True)
class _Made:
    """A model of a chain.

    Attributes:
        ours: From an example to what is compared.
        given: From an example to what the file's own library gets.
        theirs: From what that answers to what is compared.
        notes: What was left out, or why it is no other model.
        own: How far the model is from its chain, where `ours` is that of the chain.
    """

    model: Any
    ours: Answers
    given: Callable[[Array], Array]
    theirs: Callable[[Any], Any]
    notes: tuple[str, ...] = ()
    own: Proof | None = None


def _made(
    chain: Chain,
    task: str | None,
    tokens: Tokens | None,
    names: Sequence[str] | None,
    training: Mapping[str, Any],
    columns: Mapping[str, Any],
) -> _Made:
    """A generator or a classifier, where that is asked for and the chain can be one; else the chain itself."""
    notes: tuple[str, ...] = ()
    if task == "generate" and tokens is not None:
        return _generator(chain, tokens, training)
    if task == "classify" and tokens is not None and names is not None:
        try:
            return _classifier(chain, tokens, names, training, columns)
        except OptionError as error:
            notes = (f"kept as a model of the task 'sequential': {error}",)
    options = {"vocabulary": tokens, "classes": names, "training": training, **columns}
    model = Sequential.of(chain.kinds, chain.tensors(), **options)
    ours = compared(chain.kinds, lambda x: sequential.forward(model._net, chain.kinds, x))
    return _Made(model, ours, np.asarray, compared(chain.kinds, np.asarray), notes)


def _restored(document: Mapping[str, Any], chain: Chain, training: Mapping[str, Any]) -> _Made:
    """The model that it was before it was exported; the chain itself where that is none, which a note says."""
    try:
        model = restored(document, chain)
        own = prove_chain(model, chain)
    except GatewiseError as error:
        made = _made(chain, None, None, None, training, {})
        return replace(made, notes=(f"kept as a model of the task 'sequential': {error}",))
    model.provenance_ = {**model.provenance_, "imported": training["imported"]}
    model._read_digest = None  # of a file that had no such provenance
    ours = compared(chain.kinds, lambda x: chains.run(chain, x))
    return _Made(model, ours, np.asarray, compared(chain.kinds, np.asarray), own=own)


def _generator(chain: Chain, tokens: Tokens, training: Mapping[str, Any]) -> _Made:
    model, ordered = generator(chain, tokens, training)
    places = np.flatnonzero(ordered.rows >= 0)
    known = ordered.rows[places]
    left_out = ", ".join(map(repr, ordered.left_out))

    def ours(x: Any) -> Any:
        y, _ = of_generator(model._net, places[x % len(places)])
        return logarithms(ops.softmax(y[..., places], -1))

    notes = (f"tokens left out, which no text holds: {left_out}",) if left_out else ()
    return _Made(model, ours, lambda x: known[x % len(known)], lambda y: _chances(chain, y[..., known]), notes)


def _classifier(
    chain: Chain, tokens: Tokens, names: Sequence[str], training: Mapping[str, Any], columns: Mapping[str, Any]
) -> _Made:
    model, rows = classifier(chain, tokens, names, training, **columns)
    places = np.flatnonzero(rows >= 0)
    known = rows[places]

    single = sequential.last_width(chain.kinds) == 1  # the chance of the second of two classes

    def ours(x: Any) -> Any:
        words = places[x % len(places)]
        y = of_classifier(model._net, {"words": words, "lengths": np.full(words.shape[1], len(words))})
        return y[:, 1:] if single else logarithms(y)

    return _Made(model, ours, lambda x: known[x % len(known)], partial(_chances, chain))


def _chances(chain: Chain, y: Array) -> Array:
    """What a chain answered: logarithms of probabilities (..., K), or the one probability that there is."""
    name = last_activation(chain.kinds)
    if y.shape[-1] == 1:
        return ops.sigmoid(y) if name == "linear" else y
    if name == "softmax":
        return logarithms(y / y.sum(-1, keepdims=True))  # of some tokens, where others were left out
    return logarithms(ops.softmax(y, -1))


def _proof(name: str, path: str, chain: Chain, asked: Asked, made: _Made) -> Proof:
    form, inputs = chosen(name), list(examples(chain.kinds, chain.steps))
    try:
        found = proof_process.answers(name, path, asked, [made.given(x) for x in inputs])
    except CannotRunError as error:
        return Proof(form.packages[0], reason=str(error))
    if found is None:
        return Proof(form.packages[0], install=form.install)
    peer, outputs = found
    answers = iter(outputs)
    proof = prove(made.ours, lambda x: made.theirs(next(answers)), peer, iter(inputs))
    return proof if made.own is None else proof.with_chain(made.own)


def _training(path: str, name: str, chain: Chain) -> dict[str, Any]:
    """What the model file says of where it comes from."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    source = {"file": Path(path).name, "format": name, "version": chain.version, "name": chain.name}
    imported = {**{key: value for key, value in source.items() if value}, "sha256": digest.hexdigest()}
    return {"data": {"fingerprint": ""}, "metrics": {}, "imported": imported}


def read_vocabulary(source: str | os.PathLike[str] | Sequence[str] | Mapping[str, int]) -> Tokens:
    """Tokens and their numbers; see `import_model`. OptionError if these are none."""
    found: Any = source
    if isinstance(source, str | os.PathLike):
        text = _text(source, "vocabulary")
        if text.lstrip()[:1] in ("{", "["):
            try:
                found = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise OptionError(f"'{os.fspath(source)}' is no vocabulary in JSON ({error})") from error
        else:
            found = text.removesuffix("\n").split("\n")
    if isinstance(found, Mapping):
        tokens, ids = list(found), list(found.values())
    else:
        tokens, ids = list(found), list(range(len(found)))
    if not all(isinstance(token, str) for token in tokens) or not all(type(number) is int for number in ids):
        raise OptionError("a vocabulary is a list of tokens, or has a whole number for each token")
    if len({*tokens}) < len(tokens) or len({*ids}) < len(ids):
        raise OptionError("a vocabulary has each token, and each number, once")
    return Tokens(tokens, ids, kind_of(tokens))


def read_classes(source: str | Sequence[str]) -> list[str]:
    """Names of classes; see `import_model`. OptionError if there are less than two, or one is there twice."""
    if isinstance(source, str):
        text = _text(source, "classes").strip().split("\n") if os.path.isfile(source) else source.split(",")
        found = [name.strip() for name in text]
    else:
        found = list(source)
    if len(found) < 2 or len({*found}) < len(found) or not all(found):
        raise OptionError(f"classes={','.join(found)[:60]!r} are not two or more different names")
    return found


def _text(path: str | os.PathLike[str], what: str) -> str:
    try:
        if os.path.getsize(path) > _MOST_NAMES:
            raise OptionError(f"'{os.fspath(path)}' is too large for a {what}: {os.path.getsize(path):,} bytes")
        return Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, OptionError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"'{os.fspath(path)}' cannot be read as a {what}: {reason}") from error
