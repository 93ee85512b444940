"""What a model says of test data, in numbers and in labels, texts or alarms; and how two sayings differ.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatewise.data.batches import Rows
from gatewise.data.split import split_in_order
from gatewise.decoding.options import Decoding
from gatewise.decoding.sampling import Sampler
from gatewise.metrics.text import token_nats
from gatewise.runtime.sequence_model import forward as next_outputs
from gatewise.tasks.caption.architecture import encode as encode_images
from gatewise.tasks.caption.examples import frames
from gatewise.tasks.forecast.split import Split, last_origins, spaced
from gatewise.tasks.generate.numbers.examples import Steps
from gatewise.tasks.generate.text.evaluation import rows_for
from gatewise.tasks.translate.evaluation import teacher_forced

MOST = 200  # texts, images and recordings of a test part that are decoded
WINDOWS = 2000  # of a test part that are forecast, counting each column
WRITTEN = 200  # tokens
TOKENS = 20  # of a translation or a caption: what has not learned when to end goes on
_CHUNK = 256


@dataclass(frozen=True)
class Asked:
    """Test data as a row of quality has them.

    Attributes:
        data: What the row gave to `evaluate`, `scores` or `predict`; or what it trained on, as `fit` got it.
        learned: Whether that is so, and the model's own test part of the data is meant.
        decoding: How to search for texts, if the row says so.
        last: Whether the last horizon of each series is forecast.
    """

    data: Any
    learned: bool = False
    decoding: Decoding | None = None
    last: bool = False


@dataclass(frozen=True)
class Said:
    """What a model says.

    Attributes:
        scores: Numbers: probabilities, forecasts, log-probabilities of tokens.
        answers: (N,) labels, texts or alarms; none where numbers are the answer.
        margins: (N,) by how much the score of each answer is above that of the next best; NaN where that is not known.
        drawn: How many of them, at the end, are tokens of one text, each drawn after those before it: its margin is how
            far the random number was from the next token's. Those behind the first that differs say nothing more.
    """

    scores: list[np.ndarray]
    answers: np.ndarray
    margins: np.ndarray
    drawn: int = 0


class _Watched(Sampler):
    """A sampler that keeps what it drew, as tokens and margins of `Said`."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.tokens: list[int] = []
        self.margins: list[float] = []

    def _draw(self, row: int, p: np.ndarray) -> int:
        before = deepcopy(self._streams[row]) if row < len(self._streams) else None
        token = super()._draw(row, p)
        chance = (before or self._first()).random()
        edges = np.cumsum(p)
        self.tokens.append(token)
        self.margins.append(float(np.abs(edges[:-1] / edges[-1] - chance).min()))
        return token

    def _first(self) -> np.random.Generator:
        """The generator of the first row at its beginning."""
        seeds = np.random.SeedSequence(self._entropy, spawn_key=(0,))
        return np.random.Generator(np.random.PCG64(seeds))


def same_bits(one: Said, other: Said) -> bool:
    pairs = zip(one.scores, other.scores, strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs) and [*one.answers] == [*other.answers]


def compared(one: Said, other: Said) -> dict[str, Any]:
    """Attributes of a comparison: the largest "difference" of scores, as a share of those above 1; how many "answers"
    there are, how many "differ", and the largest "margin" of those."""
    differences = [
        np.nanmax(np.abs(a - b) / np.maximum(1, np.abs(a)), initial=0.0)
        for a, b in zip(one.scores, other.scores, strict=True)
    ]
    differ = np.array([a != b for a, b in zip(one.answers, other.answers, strict=True)], bool)
    differ[np.flatnonzero(differ[len(differ) - one.drawn :])[1:] + len(differ) - one.drawn] = False
    margins = np.maximum(one.margins, other.margins)[differ]
    return {
        "scores": sum(array.size for array in one.scores),
        "difference": float(max(differences)),
        "answers": len(differ),
        "differ": int(differ.sum()),
        "margin": float(margins.max()) if len(margins) else None,
    }


def classify(model: Any, asked: Asked) -> Said:
    predictor = model._predictor()
    data = predictor.read(asked.data, with_target=True)
    rows = model._parts_again(data).test if asked.learned else np.arange(len(data))
    networks, found = predictor.networks(data, rows), predictor.outputs(data, rows)
    return Said([networks, found], predictor.targets.decide(found), _margins(found))


def tag(model: Any, asked: Asked) -> Said:
    predictor = model._predictor()
    data = predictor.read(asked.data, labelled=True)
    encoded = predictor.features.encode(model._parts_again(data)["test"] if asked.learned else data)
    scores = predictor.network_scores(encoded)
    return Said([scores], predictor.labels(encoded), _margins(scores))


def forecast(model: Any, asked: Asked) -> Said:
    predictor = model._predictor()
    series = predictor.table(predictor.read(asked.data)).series(model.calendar)
    if asked.last:
        part = last_origins(series, series.known_ends, predictor.horizon, 1, predictor.horizon)
    else:
        part = Split.of(series, predictor.horizon, model.split, validated=model.sizing_.validated).test
    part = spaced(part, max(1, WINDOWS // len(series.targets)))
    found = [[found.point, found.quantiles] for _, found in predictor.forecasts(series, part)]
    return Said([np.concatenate(arrays) for arrays in zip(*found, strict=True)], *_none())


def detect(model: Any, asked: Asked) -> Said:
    predictor = model._predictor()
    scores = np.concatenate(predictor.scores(asked.data))
    return Said([scores], scores >= predictor.threshold, np.abs(scores - predictor.threshold))


def generate(model: Any, asked: Asked) -> Said:
    return _continued(model, asked) if model.numbers_ is not None else _written(model, asked)


def _written(model: Any, asked: Asked) -> Said:
    """Of each token of the text its nats and which was the likeliest; then the tokens of a text of its own."""
    net, text = model._net, asked.data.getvalue()
    ids = model.vocabulary_.encode(split_in_order(text, model.provenance_["data"]["shares"])["test"])
    rows, state = Rows(ids, rows_for(ids), _CHUNK), None
    nats, likeliest, margins = [], [], []
    for step in range(len(rows)):
        inputs, targets = rows[step]
        scores, state = next_outputs(net, inputs, state)
        scores = scores.reshape(-1, scores.shape[-1])
        nats.append(token_nats(scores, targets.ravel()))
        likeliest.append(scores.argmax(-1))
        margins.append(_margins(scores))
    writer = model.writer()
    sampler = _Watched(temperature=0.8, seed=0, forbidden=writer.forbidden)
    for _ in writer.write(length=WRITTEN, sampler=sampler):
        pass
    answers = [*np.concatenate(likeliest).tolist(), *sampler.tokens]
    return Said([*nats], _objects(answers), np.concatenate([*margins, sampler.margins]), drawn=WRITTEN)


def _continued(model: Any, asked: Asked) -> Said:
    examples, state, found = model.numbers_.examples(Steps.of(asked.data, model.numbers_.channels)), None, []
    for rows, start in examples.in_order():
        batch = examples.piece(rows, start)
        output, state = next_outputs(model._net, batch.inputs, None if batch.fresh else state, batch.lengths)
        found.append(output)
    return Said(found, *_none())


def translate(model: Any, asked: Asked) -> Said:
    predictor = model._predictor()
    pairs = predictor.read(asked.data, with_targets=True)
    if asked.learned:
        pairs = model._split(pairs, tuple(model.provenance_["data"]["shares"]))["test"]
    pairs = pairs.take(range(min(MOST, len(pairs))))
    found = predictor.translate(pairs.sources, replace(asked.decoding or Decoding(), n_best=2, max_length=TOKENS))
    forced = np.array([teacher_forced(predictor, pairs)["loss"]])
    hypotheses = [[one.hypothesis for one in some] for some in found]
    return Said([forced, *_best(hypotheses)], _objects([some[0].text for some in found]), _lead(hypotheses))


def caption(model: Any, asked: Asked) -> Said:
    predictor = model._predictor()
    data = asked.data.take(range(min(MOST, len(asked.data))))
    found = predictor.decode(data, Decoding(n_best=2, max_length=TOKENS))
    features, _ = encode_images(predictor.net, frames(data, np.arange(len(data))))
    texts = [predictor.tokens.text(best.tokens) for best, *_ in found]
    return Said([features, *_best(found)], _objects(texts), _lead(found))


def transcribe(model: Any, asked: Asked) -> Said:
    predictor = model._predictor()
    data = predictor.read(asked.data, labelled=True)
    data = data.take(range(min(MOST, len(data))))
    found = predictor.log_probabilities(data)
    texts = [predictor.decoder.text(predictor.decoder.labels(p)) for p in found]
    return Said([*found], _objects(texts), np.array([_margins(p).min() for p in found]))


ANSWERS: dict[str, Callable[[Any, Asked], Said]] = {
    function.__name__: function
    for function in (classify, tag, forecast, detect, generate, translate, transcribe, caption)
}


def _margins(scores: np.ndarray) -> np.ndarray:
    """(N,) by how much the largest of the scores (N, K) is above the next."""
    if scores.shape[1] < 2:
        return np.full(len(scores), np.nan)
    two = np.partition(scores, -2, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0]


def _best(found: Sequence[Sequence[Any]]) -> Iterator[np.ndarray]:
    """The score of the best hypothesis of each search."""
    yield np.array([some[0].score for some in found])


def _lead(found: Sequence[Sequence[Any]]) -> np.ndarray:
    """By how much it is above the next."""
    return np.array([some[0].score - some[1].score if len(some) > 1 else np.nan for some in found])


def _objects(answers: Sequence[Any]) -> np.ndarray:
    found = np.empty(len(answers), object)
    found[:] = answers
    return found


def _none() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, object), np.zeros(0)
