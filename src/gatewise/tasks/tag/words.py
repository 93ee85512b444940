"""A trained tagger of words as its network over numbers of their parts and letters, for exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import OptionError
from ...runtime.recording import LETTER_COUNTS, LETTERS, Examples, StepModel
from ..stepwise import Rounding, share_line
from .features import Words
from .linear import Blend
from .page import network_of_words, sentences_for
from .sentences import sequences_of
from .step import step_model

if TYPE_CHECKING:
    from .estimator import Tagger


def numbered_model(tagger: Tagger, digest: str, rounded: Rounding) -> StepModel:
    """The model as what its network makes of a sentence whose words have numbers; without words, as `step_model`.

    Args:
        tagger: As read from a file. It predicts with rounded weights, and by its network alone, from then on.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It reads other columns beside words, or its network has no share in what it predicts.
    """
    features, targets = tagger.features_, tagger.targets_
    if not features.words:
        return step_model(tagger, digest, rounded)
    words = features.words[0]
    if len(features.columns) > 1:
        raise OptionError(
            f"it reads {', '.join(name for name in features.columns if name != words.column)} beside words"
        )
    share = tagger._predictor().share
    beside = "" if tagger.plain_ is None else f"that of a {tagger.plain_.name(targets)}"
    part = share_line(share, beside)
    recording, spelling = network_of_words(tagger, words, rounded)
    tagger.plain_, tagger.blend_ = None, Blend(1.0)
    predictor = tagger._predictor()
    chain = predictor.chain(1.0)
    tables = (
        {} if chain is None else {f"chain.{name}": np.asarray(each, np.float32) for name, each in vars(chain).items()}
    )
    if targets.outside is not None:
        tables["outside_bias"] = np.array([predictor.outside_bias], np.float32)
    decided = (
        "the likeliest path under the chain's tables is the answer" if chain is not None else "the largest is the label"
    )
    less = f"; less outside_bias of '{targets.classes[targets.outside]}'" if targets.outside is not None else ""
    of = (
        f"label; {decided}{less}: {', '.join(targets.classes)}"
        if targets.classes
        else f"number, in units of {targets.scale} from {targets.center}"
    )
    return StepModel(
        recording=recording,
        spelling=spelling,
        tables=tables,
        examples=_examples(tagger, words),
        title=f"A tagger of words, cell {tagger.find_cell().name}.{part}",
        meaning=[
            *(
                f"part{k}  the number of each word's {name} in the document's list, from 1 on; 0 for another"
                for k, name in enumerate(words.parts)
            ),
            *(["pair0, pair1  the same of a word with the one before, and with the next"] if words.pairs else []),
            *(
                ["letters, letter_counts  numbers of the letters of each word, from 2 on, and how many"]
                if spelling
                else []
            ),
            f"scores  of each {of}",
        ],
        digest=digest,
    )


def _examples(tagger: Tagger, words: Words) -> Examples:
    """Sentences of its vocabulary, and what the network makes of them."""
    sequences, _ = sequences_of(sentences_for(words), tagger.features_)
    encoded = tagger.features_.encode(sequences)
    [own] = encoded.words
    found = {f"part{k}": own.parts[own.index][:, k : k + 1] for k in range(len(words.parts))}
    if words.pairs:
        found |= {f"pair{k}": own.pairs[:, k : k + 1] for k in range(1 + words.ahead)}
    if words.letters:
        found |= {LETTERS: own.letters[own.index], LETTER_COUNTS: own.lengths[own.index][:, None]}
    wanted = tagger._predictor().network_scores(encoded)
    inputs = {name: np.asarray(each, np.int64) for name, each in found.items()}
    return Examples("words of sentences", inputs, {"scores": wanted}, np.diff(encoded.offsets).tolist())
