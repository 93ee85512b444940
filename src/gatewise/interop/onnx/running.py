"""Runs an ONNX file of ours on the examples of its model, in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...data.sequences import offsets_of
from ...errors import OptionError
from ...runtime.recording import LETTER_COUNTS, Examples, StepModel
from .network import remembered

NOT_PROVED = "not proved: install onnxruntime"

Array = np.ndarray
Run = Callable[[Mapping[str, Array]], dict[str, Array]]


def runner(model: bytes) -> Run | None:
    """What computes a model's outputs by name; None where onnxruntime is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with _named():
        session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(feed: Mapping[str, Array]) -> dict[str, Array]:
        with _named():
            return dict(zip(names, session.run(names, dict(feed)), strict=True))

    return run


@contextmanager
def _named() -> Iterator[None]:
    """What onnxruntime raises, which has a kind for each of its codes, as an OptionError of one line."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        raise OptionError(f"onnxruntime does not run what was exported, so it was not kept: {reason:.200}") from error


def difference(said: StepModel, run: Run) -> float:
    """The largest one between what an engine computes and the examples; as of `Examples.difference`."""
    recording, examples = said.recording, said.examples
    tokens = {LETTER_COUNTS, *(vector.name for vector, _ in recording.tokens)}
    inputs = {name: own[:, 0] if name in tokens else own for name, own in examples.inputs.items()}
    if recording.whole:
        return _found(examples, _of_sequences(said, inputs, run))
    if not remembered(recording):
        return _found(examples, run(inputs))
    steps = {name: own[:, None] for name, own in inputs.items()}
    single = {vector.name for vector in recording.single}
    cuts = [[slice(None)], [slice(0, 7), slice(7, None)]]  # at once, and in two pieces
    return float(np.max([_found(examples, _in_pieces(said, steps, single, pieces, run)) for pieces in cuts]))


def _in_pieces(said: StepModel, steps: Mapping[str, Array], single: set[str], pieces: Any, run: Run) -> Any:
    """The outputs (T, n) of steps, with the state given from piece to piece."""
    state = {v.name: np.zeros((1, v.size), np.float32) for v in remembered(said.recording)}
    found: dict[str, list[Array]] = {name: [] for name in said.recording.outputs}
    for piece in pieces:
        got = run({name: own[0] if name in single else own[piece] for name, own in steps.items()} | state)
        state = {name: got[f"{name}_next"] for name in state}
        for name, own in found.items():
            own.append(got[name][:, 0])
    return {name: np.concatenate(own) for name, own in found.items()}


def _of_sequences(said: StepModel, inputs: Mapping[str, Array], run: Run) -> dict[str, Array]:
    """The outputs of whole sequences, side by side, the shorter ones padded with numbers that must not matter."""
    recording, lengths = said.recording, np.array(said.examples.lengths, np.int64)
    offsets, T = offsets_of(lengths.tolist()), int(lengths.max())
    single = {vector.name for vector in recording.single}
    feed: dict[str, Array] = {"lengths": lengths}
    for name, own in inputs.items():
        if name in single:
            feed[name] = own
            continue
        filler = 0 if own.dtype == np.int64 else 1e3
        feed[name] = np.full((T, len(lengths), *own.shape[1:]), filler, own.dtype)
        for row, count in enumerate(lengths):
            feed[name][:count, row] = own[offsets[row] : offsets[row + 1]]
    got = run(feed)
    return {
        name: got[name]
        if recording.is_once(vector)
        else np.concatenate([got[name][:count, row] for row, count in enumerate(lengths)])
        for name, vector in recording.outputs.items()
    }


def _found(examples: Examples, outputs: Mapping[str, Array]) -> float:
    found = Examples(examples.source, examples.inputs, outputs, examples.lengths)
    return found.difference(examples)
