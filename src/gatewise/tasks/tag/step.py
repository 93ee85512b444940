"""A trained tagger of measurements as what it does at a step, for exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.sequences import Column, Sequences, category_column, offsets_of
from ...decoding.viterbi import viterbi
from ...runtime.recorder import CARRIED, SEQUENCE, Recorder, Symbol
from ...runtime.recording import Examples, StepModel, Vector
from ..stepwise import Rounding, rounded_network, share_line
from .architecture import forward
from .features import Features
from .linear import Blend, Linear
from .page import sentence_model

if TYPE_CHECKING:
    from .estimator import Tagger

_STEPS = 100  # of the examples
_LENGTHS = (60, 1, 2, 37)  # where they are whole sequences


def step_model(tagger: Tagger, digest: str, rounded: Rounding) -> StepModel:
    """The model as what its network says of a step, or of each step of a sequence: a score for each label, or a number.

    Args:
        tagger: As read from a file. It predicts with rounded weights from then on.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It reads words beside other columns, or its network has no share.
    """
    features, targets = tagger.features_, tagger.targets_
    if features.words:
        return sentence_model(tagger, digest, rounded)
    crf = tagger._net is not None and tagger._net.crf is not None
    whole = tagger.bidirectional or features.per_sequence or crf
    plain, share, part = _plain(tagger, whole)
    whole |= plain is not None
    recorder = Recorder()
    inputs = _inputs(recorder, features)
    read = recorder.vector(inputs["numbers"]) if plain is not None else None
    y: Any = 0.0
    if share > 0:
        net = rounded_network(tagger, rounded, recorder)
        y, _ = forward(net, {"lengths": None, "state": SEQUENCE if whole else CARRIED, **inputs})
    if plain is not None and read is not None:
        found = _regression(recorder, plain, inputs["numbers"], read, features)
        y = found if share == 0 else y * share + found * (1 - share)
    outside_bias = tagger._predictor().outside_bias
    tagger.plain_, tagger.blend_ = plain, Blend(share)
    chain = tagger._predictor().chain(share)
    classes, center = targets.classes, np.array(targets.center, np.float32)
    if classes and targets.outside is not None:
        bias = np.zeros(len(classes), np.float32)
        bias[targets.outside] = outside_bias
        y = y - bias
    elif not classes:
        y = y * np.array(targets.scale, np.float32) + center
    columns = [
        f"{name} {k}" if len(mean) > 1 else name for name, mean in features.means.items() for k in range(len(mean))
    ]
    output = "scores" if classes else "numbers"
    examples = _examples(tagger, output, whole, outside_bias)
    tables = {} if chain is None else {f"chain.{name}": values.reshape(-1) for name, values in vars(chain).items()}
    labels = None
    if chain is not None:
        labels = viterbi(examples.outputs[output], offsets_of(_LENGTHS), chain)
    by = [*([f"cell {tagger.find_cell().name}"] if share else []), *([] if plain is None else [plain.name(targets)])]
    decided = "gw_labels makes labels of them" if tables else "the largest is the label"
    return StepModel(
        recording=recorder.recording(**{output: y}),
        examples=examples,
        tables=tables,
        labels=labels,
        title=f"A tagger of each step, {', '.join(by)}.{part}",
        meaning=[
            *(
                f"category{k}  '{name}': {_numbered(levels)}; 0 if it is missing or another"
                for k, (name, levels) in enumerate(features.categories.items())
            ),
            *(
                [f"values  {len(columns)} numbers: {', '.join(columns)}; what is missing is not a number"]
                if columns
                else []
            ),
            f"scores  of each label; {decided}: {', '.join(classes)}"
            if classes
            else f"numbers  {', '.join(targets.columns) or 'the target'}",
        ],
        digest=digest,
        page={
            "kind": "labels",
            "names": columns,
            "classes": list(classes),
            "targets": list(targets.columns),
            "whole": whole,
            "chained": bool(tables),
            "refused": "it reads categories, for which its page has no place" if features.categories else "",
        },
    )


def _plain(tagger: Tagger, whole: bool) -> tuple[Linear | None, float, str]:
    """The regression, where it is exported; the share of the network beside it; and what is to be said of what is left
    out.

    What answers after each step does without: the regression of a stream would have to remember many of them.
    """
    plain, share = tagger.plain_, tagger.blend_.share if tagger.plain_ is not None else 1.0
    if plain is None or share == 1:
        return None, 1.0, ""
    if tagger.features_.categories or not (whole or share == 0):
        return None, 1.0, share_line(share, f"that of a {plain.name(tagger.targets_)}")
    return plain, share, ""


def _regression(recorder: Recorder, plain: Linear, x: Symbol, read: Vector, features: Features) -> Symbol:
    """(1, 1, K) scores, from the measurements x (1, 1, N) of a step and of those around it; as `Windows.numbers`."""
    ops, windows = recorder.ops, plain.windows
    recorder.begin("forward")
    parts = [x]
    if windows.reach:
        parts.append(recorder.around(read, windows.reach, windows.ahead))
    for place, own in enumerate(windows.edges(features)):
        widths = np.maximum(np.diff(own), 1e-6).astype(np.float32)
        parts.append(ops.clip((x[..., place : place + 1] - own[:-1].astype(np.float32)) / widths, 0.0, 1.0))
    return ops.linear(ops.concatenate(parts), plain.rest.T.copy(), plain.bias)


def _inputs(recorder: Recorder, features: Features) -> dict[str, Any]:
    """What `Encoded.batch` gives for one step, of what a user has."""
    found: dict[str, Any] = {}
    if features.categories:
        codes = [
            recorder.token(f"category{k}", len(levels) + 1, 1, 1, 1)
            for k, levels in enumerate(features.categories.values())
        ]
        found["categories"] = Symbol(recorder, np.concatenate([code.places for code in codes], -1))
    if features.means:
        mean, scale = (np.concatenate([*map(np.asarray, each.values())]) for each in (features.means, features.scales))
        values = recorder.number("values", 1, 1, len(mean))
        if features.per_sequence:
            values = _scaled_over_sequence(recorder, values)
        scaled = recorder.ops.or_else((values - mean.astype(np.float32)) / scale.astype(np.float32), 0.0)
        missing = [] if not features.gaps else [1.0 - recorder.ops.known(values)]
        found["numbers"] = recorder.ops.concatenate([scaled, *missing])
    return found


def _scaled_over_sequence(recorder: Recorder, values: Symbol) -> Symbol:
    """As `features._scaled_each`: a pass for means and deviations, another one that scales."""
    ops, known = recorder.ops, recorder.ops.known(values)
    count, mean, squares = (recorder.state(f"sequence_{name}", *values.shape) for name in ("count", "mean", "squares"))
    n = count + known
    off = ops.or_else(values, 0.0) - mean * known  # of what is missing, nothing changes
    new = mean + off / ops.maximum(n, 1.0)
    recorder.keep(squares, squares + off * (ops.or_else(values, 0.0) - new * known))
    recorder.keep(mean, new)
    recorder.keep(count, n)
    recorder.begin("forward")
    deviation = ops.sqrt(squares / ops.maximum(count, 1.0))
    there = ops.step(deviation - (ops.maximum(mean, -mean) + 1.0) * 1e-9)
    return (values - mean) / (there * deviation + (1.0 - there))


def _examples(tagger: Tagger, output: str, whole: bool, outside_bias: float) -> Examples:
    """Steps as the training data had on average, at random."""
    rng, features = np.random.default_rng(0), tagger.features_
    columns: dict[str, Column] = {}
    inputs, numbers = {}, []
    for k, (name, levels) in enumerate(features.categories.items()):
        codes = rng.integers(len(levels) + 1, size=_STEPS)
        columns[name] = category_column(name, [levels[code - 1] if code else None for code in codes], levels)
        inputs[f"category{k}"] = codes[:, None]
    for name, mean in features.means.items():
        own = (mean + np.array(features.scales[name]) * rng.normal(size=(_STEPS, len(mean)))).astype(np.float32)
        own[rng.random(own.shape) < 0.03] = np.nan
        columns[name] = Column(name, "number", own if len(mean) > 1 else own[:, 0])
        numbers.append(own)
    if numbers:
        inputs["values"] = np.concatenate(numbers, 1)
    lengths = _LENGTHS if whole else (_STEPS,)
    encoded = features.encode(Sequences(offsets_of(lengths), columns, name="steps"))
    predictor, targets = tagger._predictor(), tagger.targets_
    scores = predictor.scores(encoded).astype(np.float64)
    if targets.classes and targets.outside is not None:
        scores[:, targets.outside] -= outside_bias
    elif not targets.classes:
        scores = scores * np.array(targets.scale) + np.array(targets.center)
    return Examples("steps drawn at random", inputs, {output: scores}, lengths if whole else ())


def _numbered(levels: Any) -> str:
    return ", ".join(f"{code} {level}" for code, level in enumerate(levels, 1))
