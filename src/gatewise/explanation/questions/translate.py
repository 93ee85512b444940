"""Why a translation has this word there: what of the source, and of what was written before it, speaks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...data.text.vocabulary import Characters
from ...decoding.options import Decoding
from ...errors import DataError
from ...tasks.translate.architecture import encode
from ...tasks.translate.choice import NETWORK
from ..question import (
    FEW_ROWS,
    USUAL_ROWS,
    Ask,
    Part,
    Question,
    Reading,
    chosen_row,
    mean_of,
    must_have_network,
)
from ..report import Input
from .written import Written


def question(model: Any, data: Any, row: int, ask: Ask, **reading: Any) -> tuple[Question, str]:
    """See `questions.question`. The step is a token of the translation, the first if omitted."""
    ask.only("target", "against", "step", task="translate")
    predictor = model._predictor()
    must_have_network(predictor.net)
    pairs = predictor.read(data, **reading)
    texts, net = predictor.texts, predictor.net
    source = pairs.sources[chosen_row(row, len(pairs.sources), pairs.name)]
    [ids] = texts.sources([source])
    if not len(ids):
        raise DataError(f"no token in row {row} of {pairs.name} is one that the model knows. Ask for another row")
    [[answer, *_]] = predictor.translate([source], Decoding())
    text, best, _ = predictor.explained(source)
    known, of = pairs.sources, pairs.name
    if model.plain_ is not None:
        known, of = model.plain_.sources, "the training data"
    some = [own for own in texts.sources(known[:USUAL_ROWS]) if len(own)]
    embedding = net.source_embedding
    separator = "" if isinstance(texts.source, Characters) else " "
    found = Reading()
    shown = Input(name="source", kind="tokens", labels=texts.words_of(source), separator=separator)
    values, few = embedding(ids), len(some) < FEW_ROWS
    usual = embedding.weight if few else embedding(np.concatenate(some))
    found.add(shown, [Part(None, values, mean_of([usual], len(values)))])

    def encoded(net: Any, arrays: Sequence[Any]) -> tuple[dict[str, Any], Mapping[str, Any]]:
        given, N = arrays[0], arrays[0].shape[1]
        lengths = net.ops.integers(np.full(N, len(ids)), given)
        batch = {"source": net.ops.integers(np.repeat(ids[:, None], N, 1), given), "lengths": lengths}
        return {"source_embedding": lambda _: given}, batch

    asked = Written(
        model,
        net,
        encode,
        encoded,
        found,
        ask,
        tokens=best.tokens.tolist(),
        start=texts.edge,
        end=texts.edge,
        piece=lambda token: texts.pieces(np.array([token]))[0],
        separator="" if isinstance(texts.target, Characters) else " ",
        text=text,
        instead=None if answer.by == NETWORK else (answer.text, answer.by),
        usual=f"the mean embedding of {'all tokens' if few else f'the tokens of {len(some):,} rows of {of}'}",
    )
    return asked.question(), pairs.name


def of_text(model: Any, text: str) -> list[str]:
    """See `questions.of_text`."""
    return [text]
