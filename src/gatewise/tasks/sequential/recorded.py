"""A model of another library as what it makes of the steps so far, of a whole sequence, or of a row of fixed length, as
operations for exporters that print them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import OptionError
from ...runtime import sequential
from ...runtime.layers import Block
from ...runtime.recorder import CARRIED, SEQUENCE, Recorder, Symbol
from ...runtime.recording import Examples, StepModel
from ...runtime.sequential import Embedding, Flatten, Layer, Masking, Pooling, Recurrent, Repeat
from ..options import names
from ..stepwise import Count, Rounding, with_rounded
from .predictor import Predictor, last_activation, shares_of
from .step import called, merged

if TYPE_CHECKING:
    from .estimator import Sequential

_STEPS, _ROWS = 40, 20  # of the examples
_LENGTHS = (37, 1, 2, 19)  # of those that are whole sequences
_TEXTS, _WORDS = 8, 20  # of those that are texts
_MOST = 200  # steps that are printed one by one


def step_model(model: Sequential, digest: str, rounded: Rounding) -> StepModel:
    """The model as what it answers: probabilities of classes or labels, or numbers.

    Args:
        model: As read from a file. It predicts with rounded weights from then on.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: One of its layers cannot be said so; the message names it.
    """
    layers, recorder = model.layers_, Recorder()
    model._read_weights = with_rounded(model._read_weights, rounded)
    net = recorder.net(model._architecture(), model._read_weights)
    predictor = model._predictor()
    way = _way(layers)
    x = _input(recorder, layers, way)
    read = [place for place, layer in enumerate(layers) if not isinstance(layer, Masking)]  # what it hides is not given
    net, layers = Block({"layers": [net.layers[place] for place in read]}, net.ops), [layers[place] for place in read]
    y = called(net, layers, {"x": x})["y"] if way == "row" else _read(recorder, net, layers, x, way)
    if model.classes_ is not None:
        y = shares_of(net.ops, last_activation(layers), y)
    output, answers = _output(model, predictor), list(model.classes_ or _columns(model))
    when = "of this step" if predictor.each_step else "after this step" if way == "steps" else "of the sequence"
    times = y.places.size // len(answers)
    made = f" at {times} steps, one behind the other" if times > 1 else ""
    return StepModel(
        recording=recorder.recording(**{output: y}),
        examples=_examples(predictor, way, output),
        title=f"A model of another library: {sequential.described(model.layers_)}.",
        meaning=[*_meaning(model, way), f"{output}  {when}{made}: {', '.join(answers)}"],
        digest=digest,
        tokens=_tokens(model),
        page=_page(model, predictor, way, answers),
        answers=_of_texts(predictor, output),
    )


def _way(layers: Sequence[Layer]) -> str:
    """What is read at a call: one of the "steps", a whole "sequence", or a "row" of as many steps as are fixed."""
    before = list(layers)
    for number, layer in enumerate(layers):
        if layer.after == "ends":
            before = list(layers[: number + 1])
            break
    if isinstance(before[-1], Flatten):
        return "row"
    forward = all(layer.direction == "forward" for layer in before if isinstance(layer, Recurrent))
    return "steps" if forward else "sequence"


def _fixed(layers: Sequence[Layer]) -> int:
    """Steps of a row."""
    return next(layer.length for layer in layers if isinstance(layer, Flatten))


def _masks_zero(layers: Sequence[Layer]) -> bool:
    return isinstance(layers[0], Embedding) and layers[0].mask_zero


def _input(recorder: Recorder, layers: Sequence[Layer], way: str) -> Symbol:
    """(1, 1) of a token, (1, 1, D) of numbers, or (T, 1, D) of a row."""
    width, first = sequential.first_width(layers), layers[0]
    for layer in layers:
        if isinstance(layer, Repeat | Flatten) and layer.length > _MOST:
            raise OptionError(
                f"its {layer.kind} layer has {layer.length:,} steps, and at most {_MOST} are said one by one"
            )
    if way == "row":
        if width is None:
            raise OptionError("its flatten layer reads tokens side by side, and what is exported reads one at a time")
        return recorder.number("values", _fixed(layers), 1, width)
    if isinstance(first, Embedding):
        return recorder.token("token", first.count, 1, 1)
    return recorder.number("values", 1, 1, width or 1)


def _read(recorder: Recorder, net: Any, layers: Sequence[Layer], x: Any, way: str) -> Any:
    """(1, K), or (1, 1, K) of each step."""
    state = CARRIED if way == "steps" else SEQUENCE
    for number, (part, layer) in enumerate(zip(net.layers, layers, strict=True)):
        if isinstance(layer, Recurrent):
            x = _recurrent(recorder, net, part, layer, x, state)
        elif isinstance(layer, Pooling):
            pool = _pooled(recorder, layer, x, way, f"count{number}")
            if way == "sequence":
                recorder.begin("once")
            x = pool()
        else:
            x = _one(net, part, layer, x)
        if layer.after == "ends":
            rest = Block({"layers": net.layers[number + 1 :]}, net.ops)
            return called(rest, layers[number + 1 :], {"x": x[0]})["y"]
    return x


def _one(net: Any, part: Any, layer: Layer, x: Any) -> Any:
    return called(Block({"layers": [part]}, net.ops), [layer], {"x": x})["y"]


def _recurrent(recorder: Recorder, net: Any, part: Any, layer: Recurrent, x: Symbol, state: Any) -> Any:
    """Of a direction that reads from the end, in a pass of its own."""
    ends, backward = layer.outputs == "end", layer.direction == "backward"
    if backward and layer.as_run and not ends:
        raise OptionError("its recurrent layer gives its outputs from the last step to the first")
    if backward:
        recorder.begin("backward")
    y, _ = part(x, state)
    if state is SEQUENCE and ends:
        recorder.begin("once")
    elif backward:
        recorder.begin("forward")
    return merged(net, layer, y)


def _pooled(recorder: Recorder, layer: Pooling, x: Symbol, way: str, name: str) -> Any:
    if way == "steps" and layer.of == "last":
        return lambda: x
    count = Count(recorder, way, name)
    match layer.of:
        case "mean":
            return count.mean("mean", x)
        case "max":
            return count.most("most", x)
        case "first":
            return count.first("first", x)
    return count.gathered("last", x.shape, lambda before: x)  # of both directions, not each at its end


def _output(model: Sequential, predictor: Predictor) -> str:
    """Its name, by which pages ask for it."""
    if model.classes_ is not None:
        return "scores" if predictor.each_step else "probabilities"
    alone = (
        sequential.last_width(model.layers_) == 1
        and not predictor.each_step
        and not sequential.gives_steps(model.layers_)
    )
    return "number" if alone else "numbers"


def _tokens(model: Sequential) -> list[str]:
    """What each token stands for, as far as that is known."""
    first, vocabulary = model.layers_[0], model.vocabulary_
    if vocabulary is None or not isinstance(first, Embedding):
        return []
    known = dict(zip(vocabulary.ids, vocabulary.tokens, strict=True))
    return [known.get(number, "") for number in range(first.count)]


def _columns(model: Sequential) -> list[str]:
    """Names of the numbers that it answers with."""
    known, count = names(model.target), sequential.last_width(model.layers_)
    if len(known) == count:
        return list(known)
    return ["predicted"] if count == 1 else [f"predicted_{number}" for number in range(count)]


def _channels(model: Sequential) -> list[str]:
    width, known = sequential.first_width(model.layers_) or 0, names(model.columns)
    return list(known) if len(known) == width else [f"x{number}" for number in range(width)]


def _meaning(model: Sequential, way: str) -> list[str]:
    first, channels = model.layers_[0], ", ".join(_channels(model))
    if isinstance(first, Embedding):
        masked = "; 0 stands for no step, and is left out" if first.mask_zero else ""
        return [f"token  its number, from 0 to {first.count - 1}{masked}"]
    if way == "row":
        return [f"values  {_fixed(model.layers_)} steps, one behind the other, of {channels}"]
    masked = f"; a step of {first.value:g} alone stands for none, and is left out" if isinstance(first, Masking) else ""
    return [f"values  {channels}{masked}"]


def _page(model: Sequential, predictor: Predictor, way: str, answers: Sequence[str]) -> dict[str, Any]:
    """A page of steps where there is an answer at each, else one of classes, labels or a number."""
    channels, classes = _channels(model), list(model.classes_ or ())
    refused = ""
    if predictor.width is None and (model.vocabulary_ is None or predictor.each_step):
        refused = "a page of such models reads texts that have one answer, or numbers"
    elif not predictor.each_step and not classes and len(answers) > 1:
        refused = "it answers with several numbers at once, for which there is no page"
    elif not predictor.each_step and sequential.gives_steps(model.layers_):
        refused = "it answers with steps of its own, for which there is no page"
    if predictor.each_step:
        return {
            "kind": "labels",
            "names": channels,
            "classes": [] if predictor.labels else classes,
            "targets": [] if classes else list(answers),
            "labels": classes if predictor.labels else [],
            "whole": way == "sequence",
            "chained": False,
            "refused": refused,
        }
    said = {
        "way": way,
        "target": "labels" if predictor.labels else "category" if classes else "number",
        "classes": classes,
        "name": answers[0],
        "refused": refused,
    }
    if model.vocabulary_ is not None:
        vocabulary = {name: getattr(model.vocabulary_, name) for name in ("kind", "tokens", "ids", "unknown")}
        return {"kind": "pieces", "vocabulary": vocabulary, "masked": _masks_zero(model.layers_), **said}
    if way == "row":
        channels = [f"{channel} {step}" for step in range(_fixed(model.layers_)) for channel in channels]
    return {"kind": "classes", "names": channels, "fixed": [], "categories": [], **said}


def _examples(predictor: Predictor, way: str, output: str) -> Examples:
    """Steps, sequences or rows at random, and what the model answers."""
    rng, layers = np.random.default_rng(0), predictor.layers
    lengths = {"row": [1], "steps": [_STEPS], "sequence": list(_LENGTHS)}[way]
    width, first = predictor.width, layers[0]
    if way == "row":
        rows = rng.normal(size=(_ROWS, _fixed(layers), width or 1)).astype(np.float32)
        return Examples(
            "rows drawn at random", {"values": rows.reshape(_ROWS, -1)}, {output: _answers(predictor, [*rows])}
        )
    if isinstance(first, Embedding):
        each = [rng.integers(int(_masks_zero(layers)), first.count, count) for count in lengths]
        given = {"token": np.concatenate(each)[:, None]}
    else:
        each = [rng.normal(size=(count, width or 1)).astype(np.float32) for count in lengths]
        given = {"values": np.concatenate(each)}
    if way == "steps":
        [steps] = each
        whole = [steps] if predictor.each_step else [steps[:count] for count in range(1, len(steps) + 1)]
        return Examples("steps drawn at random", given, {output: _answers(predictor, whole)})
    return Examples("steps of sequences drawn at random", given, {output: _answers(predictor, each)}, lengths)


def _of_texts(predictor: Predictor, output: str) -> list[tuple[str, dict[str, Any]]]:
    """Texts of its tokens at random, and odd ones, each with its tokens and what the model answers."""
    vocabulary = predictor.vocabulary
    if vocabulary is None or predictor.each_step:
        return []
    rng, between, found = np.random.default_rng(0), " " * (vocabulary.kind == "words"), []
    masked, alone = (
        _masks_zero(predictor.layers),
        len if vocabulary.kind == "characters" else lambda word: len(word.split()),
    )
    numbered = zip(vocabulary.tokens, vocabulary.ids, strict=True)
    known = [token for token, number in numbered if token.strip() and alone(token) == 1 and number >= masked]
    for count in rng.integers(1, _WORDS, _TEXTS if known else 0).tolist():
        words = [known[place] for place in rng.integers(len(known), size=count)]
        found += [between.join(words), f"{words[0].upper()}!{between}{between.join(words)} \u00a0?"]
    if not found:
        return []
    cut = [vocabulary.cut(text) for text in found]
    answers = _answers(predictor, [np.array([number for _, number in pieces]) for pieces in cut])
    return [
        (text, {"tokens": [piece for piece, number in pieces if number >= masked], output: row.tolist()})
        for text, pieces, row in zip(found, cut, answers, strict=True)
    ]


def _answers(predictor: Predictor, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """(N, outputs) of sequences, or of their steps."""
    found = predictor.outputs(inputs)
    if predictor.classes is not None:
        found = [predictor.probabilities(y) for y in found]
    return np.concatenate(found) if predictor.each_step else np.stack([y.reshape(-1) for y in found])
