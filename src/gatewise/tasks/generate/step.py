"""A trained generator as what it does at a step, for exporters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...algebra import Cell
from ...data.text.vocabulary import Words
from ...document import Count, read
from ...errors import OptionError
from ...runtime.language_model import PLAIN, LanguageModel
from ...runtime.network import checked
from ...runtime.recorder import CARRIED, Recorder
from ...runtime.recording import Examples, StepModel
from ...runtime.sequence_model import architecture, forward
from ..stepwise import Rounding
from .numbers.predictor import Tracer

if TYPE_CHECKING:
    from .estimator import Generator

Array = np.ndarray

_STEPS = 200  # of the examples
_BEGINNINGS = 50  # of training sequences, that a page begins at


def step_model(generator: Generator, digest: str, rounded: Rounding) -> StepModel:
    """The model as its step.

    Args:
        generator: As read from a file.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It has no network.
    """
    if generator.only == "plain":
        raise OptionError("it was made with --only plain and has no network, which is what is exported")
    options = generator.plain_options()
    document = {"task": "generate", **generator._document(), "options": options, "sha256": digest}
    if generator.numbers_ is not None:
        return _numbers_model(document, generator._tensors(), rounded)
    return _text_model(document, generator._tensors(), rounded)


def _text_model(document: Mapping[str, Any], tensors: Mapping[str, Array], rounded: Rounding) -> StepModel:
    held = {name: rounded(array) if array.ndim == 2 else array for name, array in tensors.items()}
    model = LanguageModel(document, held)
    sizes, V = document["sizes"], len(model.vocabulary)
    cell = Cell.from_json(document["cell"])
    block = architecture(
        cell=cell,
        input_size=tensors["embedding.weight"].shape[1],
        output_size=V,
        hidden_size=read(Count, sizes["hidden_size"], "sizes.hidden_size"),
        num_layers=read(Count, sizes["num_layers"], "sizes.num_layers"),
        proj_size=read(int, sizes.get("proj_size", 0), "sizes.proj_size"),
        vocabulary_size=V,
        tied="output.weight" not in tensors,
    )
    recorder = Recorder()
    net = recorder.net(block, checked(block, {name: array for name, array in held.items() if name != PLAIN}))
    scores, _ = forward(net, recorder.token("token", V, 1, 1), CARRIED)
    vocabulary = model.vocabulary.to_json()
    examples = _read(model, document["start"], tensors.get(PLAIN))
    return StepModel(
        recording=recorder.recording(scores=scores),
        examples=examples,
        title=f"A language model of {V} {vocabulary['kind']}, cell {cell.name}.",
        meaning=[
            f"token   the one that was read, from 0 to {V - 1}; before all others {document['start']}",
            "scores  of each token that may come next: its log-probability, less the same number for all",
        ],
        digest=model.digest,
        text=_text(model, examples.inputs["token"][1:, 0]),
        tokens=[model.vocabulary.decode([token]) for token in range(V)],
        page={
            "kind": "text",
            "vocabulary": vocabulary,
            "start": document["start"],
            "forbidden": model.forbidden,
            "refused": "a page cannot cut text into words as the model does, only into characters or byte-pairs"
            if isinstance(model.vocabulary, Words)
            else "",
        },
    )


def _numbers_model(document: Mapping[str, Any], tensors: Mapping[str, Array], rounded: Rounding) -> StepModel:
    own = {name: array for name, array in tensors.items() if name.startswith(("layers.", "output."))}
    own = {name: rounded(array) if array.ndim == 2 else array for name, array in own.items()}
    tracer = Tracer(document, {**tensors, **own})
    channels, layout, sizes = tracer.channels, tracer.layout, document["sizes"]
    weights, spread = tensors["expected.weights"], tensors["expected.spread"]
    D, R, moves = len(channels), layout.real, channels.moves
    cell = Cell.from_json(document["cell"])
    block = architecture(
        cell=cell,
        input_size=D + R + len(moves),
        output_size=layout.size,
        hidden_size=read(Count, sizes["hidden_size"], "sizes.hidden_size"),
        num_layers=read(Count, sizes["num_layers"], "sizes.num_layers"),
        proj_size=read(int, sizes.get("proj_size", 0), "sizes.proj_size"),
    )
    recorder = Recorder()
    net = recorder.net(block, checked(block, own))
    step = recorder.number("step", 1, 1, D)
    before, count = recorder.state("expected_before", 1, 1, R), recorder.state("count", 1, 1, 1)
    scaled = (step - np.array(channels.mean, np.float32)) / np.array(channels.scale, np.float32)
    last = scaled[..., channels.real]
    # The first step was not expected to be anything, and surprises nobody.
    surprise = recorder.pointwise("minimum", count, 1.0) * (last - before) / spread.astype(np.float32)
    parts = [scaled, surprise]
    if moves:
        position = recorder.state("position", 1, 1, len(moves))
        place = position + step[..., moves]
        recorder.keep(position, place)
        parts.append(place)
    mixture, _ = forward(net, net.ops.concatenate(parts), CARRIED)
    if layout.ends:
        odds = tensors.get("lengths.odds", np.zeros(1, np.float32))
        mixture = net.ops.concatenate([mixture[..., :-1], mixture[..., -1:] + recorder.lookup(odds, count)])
    expected = recorder.affine(last, weights[1:].T.astype(np.float32), weights[0].astype(np.float32))
    recorder.keep(before, expected)
    recorder.keep(count, count + 1.0)
    names = ", ".join(channels.names)
    pen = channels.names == ["dx", "dy", "up"]
    return StepModel(
        recording=recorder.recording(mixture=mixture, expected=expected),
        examples=_traced(tracer, Tracer(document, tensors)),
        title=f"A model that continues sequences of {names}, cell {cell.name}.",
        meaning=[
            f"step      {D} numbers: {names}",
            f"mixture   what the next step may be. Of {layout.mixtures} Gaussians scores, means, widths before",
            "          softplus (to which 0.02 is added) and couplings; a logit of each channel that is 0 or 1,",
            *(["          and one of the end"] if layout.ends else []),
            "expected  what the Gaussians are relative to: a channel is mean + scale * (expected + spread * Gaussian)",
            *(f"{name:9} {_listed(values)}" for name, values in (("mean", channels.mean), ("scale", channels.scale))),
            f"spread    {_listed(spread)} of the channels that are not 0 or 1",
        ],
        digest=str(document.get("sha256", "")),
        page={
            "kind": "pen" if pen else "series",
            "names": channels.names,
            "binary": channels.binary,
            "mean": channels.mean,
            "scale": channels.scale,
            "spread": spread.tolist(),
            "mixtures": layout.mixtures,
            "coupled": layout.coupled,
            "ends": layout.ends,
            "beginnings": document["beginnings"][:_BEGINNINGS],
        },
    )


def _listed(values: Any) -> str:
    return ", ".join(f"{value:.9g}" for value in values)


def _traced(tracer: Tracer, exact: Tracer) -> Examples:
    """A sequence that the model makes with its exact weights; it begins as one of its training does."""
    steps = np.array(list(exact.trace(length=_STEPS, temperature=0.5, seed=0)), np.float32)
    mixtures, expected = [], []
    for step in steps:
        tracer.push(step[None])
        assert tracer.state is not None
        mixtures.append(tracer.state.output)
        expected.append(tracer.state.expected)
    return Examples(
        "steps that it makes itself", {"step": steps}, {"mixture": np.stack(mixtures), "expected": np.stack(expected)}
    )


def _read(model: LanguageModel, start: int, text: Array | None) -> Examples:
    """The beginning of the text that the model learned from; of older models, which lack it, tokens by chance."""
    V = len(model.vocabulary)
    tokens = np.random.default_rng(0).integers(V, size=_STEPS) if text is None else text[:_STEPS].astype(np.int64)
    tokens = np.concatenate([[start], tokens])
    state, scores = None, []
    for token in tokens.tolist():
        state = model.advance(state, token)
        scores.append(state.scores)
    source = "steps of random tokens" if text is None else "steps of its training text"
    return Examples(source, {"token": tokens[:, None]}, {"scores": np.stack(scores)})


def _text(model: LanguageModel, tokens: Array) -> tuple[str, list[int]]:
    """The text of tokens, and its tokens: up to a space, for where a text ends its last token may be another one."""
    text = model.vocabulary.decode(tokens)
    cut = max(text.rfind("\n"), text.rfind(" "))
    text = text[:cut] if cut > 0 else text
    return text, model.vocabulary.encode(text, unknown="skip").tolist()
