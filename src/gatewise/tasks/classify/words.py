"""A trained classifier of texts as its networks over numbers of words and letters, for exporters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import OptionError
from ...runtime.recording import LETTER_COUNTS, LETTERS, Examples, StepModel
from ..members import cell_names
from ..stepwise import Rounding, share_line
from .baselines.plain import NEIGHBOURS
from .page import networks, texts_of
from .step import step_model

if TYPE_CHECKING:
    from .estimator import Classifier


def numbered_model(classifier: Classifier, digest: str, rounded: Rounding) -> StepModel:
    """The model as what its networks make of a text whose words have numbers; without words, as `step_model`.

    Args:
        classifier: As read from a file. It predicts with rounded weights from then on.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It reads columns beside texts, or its networks have no share in what it predicts.
    """
    inputs, targets, text = classifier.inputs_, classifier.targets_, classifier.inputs_.text
    if text is None:
        left_out = _without_neighbours(classifier)
        said = step_model(classifier, digest, rounded)
        return replace(said, title=said.title + left_out)
    others = ", ".join([*(column.name for column in inputs.numbers), *(column.name for column in inputs.categories)])
    if others:
        raise OptionError(f"it reads {others} beside texts")
    share, baselines = float(classifier.blend_weight_), classifier.baselines_
    beside = "" if baselines is None or share == 1 else ", ".join(baselines.shares_of(targets))
    part = share_line(share if beside else 1.0, f"that of plain methods ({beside})")
    recording, spelling = networks(classifier, text, rounded)
    output = "number" if targets.kind == "number" else "probabilities"
    names = ", ".join(map(str, targets.classes)) or targets.columns[0]
    scaled = f", in units of {targets.scale:.9g} from {targets.mean:.9g}" if targets.kind == "number" else ""
    return StepModel(
        recording=recording,
        spelling=spelling,
        examples=examples(classifier, output),
        title=f"A classifier of texts, cell {cell_names(classifier)}.{part}",
        meaning=[
            "words  the number of each in the vocabulary, from 2 on, in its document's order; 1 for another",
            *(["letters, letter_counts  the same of the letters of each word, and how many"] if spelling else []),
            f"{output}  of the text: {names}{scaled}",
        ],
        digest=digest,
    )


def _without_neighbours(classifier: Classifier) -> str:
    """Leave out the nearest neighbours, which would need all series of training; what is to be said of that."""
    baselines, share = classifier.baselines_, float(classifier.blend_weight_)
    if baselines is None or share == 1:
        return ""
    shares = baselines.shares_of(classifier.targets_)
    left = shares.get(NEIGHBOURS, 0.0)
    if not left:
        return ""
    if left == 1:
        part = share_line(share, f"that of {NEIGHBOURS}")
        classifier.blend_weight_ = 1.0
        return part
    baselines.shares = {name: own / (1 - left) for name, own in shares.items() if name != NEIGHBOURS}
    return (
        f" {NEIGHBOURS.capitalize()} have {left * (1 - share):.0%} of what the model predicts and are not exported; "
        "the other plain methods have their share."
    )


def examples(classifier: Classifier, output: str) -> Examples:
    """Texts of its vocabulary, and what the networks make of them."""
    assert classifier.inputs_.text is not None
    data, predictor = classifier.inputs_.of_texts(texts_of(classifier.inputs_.text)), classifier._predictor()
    encoded = classifier.inputs_.encode(data)
    lengths, words = encoded["lengths"], encoded["words"]
    inside = (np.arange(len(words))[:, None] < lengths).T
    found = {"words": words.T[inside][:, None]}
    if "word_of" in encoded:
        place = encoded["word_of"].T[inside]
        found |= {
            LETTERS: encoded["spelling"][:, place].T.copy(),
            LETTER_COUNTS: encoded["spelling_lengths"][place][:, None],
        }
    wanted = predictor.tempered(data, np.arange(len(data)))
    return Examples("texts of its words", found, {output: wanted.reshape(len(wanted), -1)}, lengths.tolist())
