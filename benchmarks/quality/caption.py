"""Rows of the table of quality for `caption`: scenes and clips that are drawn on the spot.

A caption is evaluated by what it states, whatever its words: `attributes` reads sizes, colours, shapes and relations,
or digit and directions, out of it. Settings were chosen on the validation parts alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gatewise.data.datasets import moving_digits, scenes
from gatewise.data.paired.captions import Captioned
from gatewise.metrics.text import text_scores
from gatewise.tasks.caption.baselines import most_frequent, nearest
from gatewise.tasks.caption.estimator import Captioner

from .row import Row

Attributes = Callable[[str], dict[str, str]]


def drawn_scenes(_: Any, seed: int) -> dict[str, Any]:
    """8,000 scenes are learned from, 500 others choose the best weights, 1,000 are the test: what a scene of one part
    shows, none of another does."""
    parts = [scenes.scenes(count, part) for part, count in (("train", 8000), ("validation", 500), ("test", 1000))]
    return captioned(parts, scenes.attributes, seed, {})


def clips(_: Any, seed: int) -> dict[str, Any]:
    """4,000 clips of scikit-learn's first 1,200 digits are learned from, 500 clips of the next 200 choose the best
    weights, 1,000 clips of the last 397 are the test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    cuts = ((0, 1200, 4000), (1200, 1400, 500), (1400, 1797, 1000))
    parts = [
        moving_digits.moving_digits(digits.images[start:stop], digits.target[start:stop], count, seed=place)
        for place, (start, stop, count) in enumerate(cuts)
    ]
    return captioned(parts, moving_digits.attributes, seed, {})


def captioned(parts: Sequence[Captioned], attributes: Attributes, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    train, validation, test = parts
    model = Captioner(seed=seed, **options).fit(train, validation=validation)
    predicted = model.predict(test)
    plain = {
        "most frequent": [most_frequent(train.captions)] * len(test),
        "nearest image": nearest(test, train),
    }
    return {
        **score(predicted, test, attributes),
        **text_scores(predicted, test.captions),
        "validation": score(model.predict(validation), validation, attributes),
        "baselines": {name: score(texts, test, attributes)["attribute_accuracy"] for name, texts in plain.items()},
        "options": options,
        "share": 1.0,  # nothing else writes
    }


def score(predicted: Sequence[str], data: Captioned, attributes: Attributes) -> dict[str, float]:
    """The share of attributes that are stated correctly, "attribute_accuracy"; and that of captions that state all of
    them correctly, and nothing else, "all_right"."""
    right = asked = whole = 0
    for caption, references in zip(predicted, data.captions, strict=True):
        found, truth = attributes(caption), attributes(references[0])
        right += sum(found.get(name) == value for name, value in truth.items())
        asked += len(truth)
        whole += found == truth
    return {"attribute_accuracy": right / asked, "all_right": whole / len(predicted)}


ROWS = (
    Row(
        "drawn_scenes",
        "caption",
        "drawn scenes of shapes: test shows what neither training nor validation shows",
        "attribute_accuracy",
        "more",
        drawn_scenes,
    ),
    Row(
        "moving_digits",
        "caption",
        "clips of scikit-learn's digits moving: other digits in the test",
        "attribute_accuracy",
        "more",
        clips,
    ),
)
