"""A trained generator as what it does at a step, for exporters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...algebra import Cell
from ...data.text.vocabulary import Words
from ...document import Count, read
from ...errors import OptionError
from ...runtime.language_model import PLAIN, LanguageModel
from ...runtime.network import checked
from ...runtime.recording import CARRIED, Examples, Recorder, StepModel
from ...runtime.sequence_model import architecture, forward

Array = np.ndarray
Rounding = Callable[[Array], Array]

_STEPS = 200  # of the examples


def step_model(document: Mapping[str, Any], tensors: Mapping[str, Array], rounded: Rounding) -> StepModel:
    """A model file as its step.

    Args:
        document: As in `bundle.Bundle`.
        tensors: Its weights.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        ModelFileError: It is not such a model's, or damaged.
        OptionError: It has no network.
    """
    if document.get("options", {}).get("only") == "plain":
        raise OptionError("it was made with --only plain and has no network, which is what is exported")
    return _text_model(document, tensors, rounded)


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
    net = recorder.network(block, checked(block, {name: array for name, array in held.items() if name != PLAIN}))
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


def _read(model: LanguageModel, start: int, text: Array | None) -> Examples:
    """The beginning of the text that the model learned from; of older models, which lack it, tokens by chance."""
    V = len(model.vocabulary)
    tokens = np.random.default_rng(0).integers(V, size=_STEPS) if text is None else text[:_STEPS].astype(np.int64)
    tokens = np.concatenate([[start], tokens])
    state, scores = None, []
    for token in tokens.tolist():
        state = model.advance(state, token)
        scores.append(state.scores)
    return Examples({"token": tokens[:, None]}, {"scores": np.stack(scores)})


def _text(model: LanguageModel, tokens: Array) -> tuple[str, list[int]]:
    """Of the tokens the text up to a line end or space, for where a text ends its last token may be another; and its tokens."""
    text = model.vocabulary.decode(tokens)
    cut = max(text.rfind("\n"), text.rfind(" "))
    text = text[:cut] if cut > 0 else text
    return text, model.vocabulary.encode(text, unknown="skip").tolist()
