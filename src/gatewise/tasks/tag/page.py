"""A trained tagger of sentences for a page, whose script cuts sentences, looks words up and decides, and has the
regression too."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.text import tagging_schemes as schemes
from ...errors import OptionError
from ...runtime.recorder import SEQUENCE, Recorder, Symbol
from ...runtime.recording import Examples, Recording, StepModel
from ..stepwise import Rounding, rounded_network
from .architecture import forward
from .features import MOST_LETTERS, Words
from .linear import Linear
from .sentences import sequences_of

if TYPE_CHECKING:
    from .estimator import Tagger

_SENTENCES, _WORDS = 12, 20  # of the examples
_ODD = (
    "I can't say that Mr. Smith-Jones (of \"Ångström\") didn't pay $3.50...",
    "他在北京大学工作。 Café №5 “quoted” ¿qué? 'tis",
    "x",
    "supercalifragilisticexpialidocious!!",
)


def sentence_model(tagger: Tagger, digest: str, rounded: Rounding) -> StepModel:
    """The model as what its page computes of a sentence. OptionError if it reads more than the words of one column."""
    features, targets, predictor = tagger.features_, tagger.targets_, tagger._predictor()
    words = features.words[0]
    if len(features.columns) > 1:
        others = ", ".join(name for name in features.columns if name != words.column)
        raise OptionError(f"it reads {others} beside words, for which its page has no place")
    share = predictor.share
    network, spelling = (Recorder().recording(), None) if share == 0 else network_of_words(tagger, words, rounded)
    plain = None if share == 1 else _rounded(tagger, rounded)
    predictor = tagger._predictor()
    tables = {} if plain is None else _tables(plain)
    chain = predictor.chain(share)
    if chain is not None:
        tables |= {f"chain.{name}": np.asarray(values, np.float32).reshape(-1) for name, values in vars(chain).items()}
    answers = _answers(tagger, words)
    by = [*([f"cell {tagger.find_cell().name}"] if share else []), *([] if plain is None else [plain.name(targets)])]
    kind = f"Labels: {', '.join(targets.classes[:20])}" if targets.classes else "A number at each word"
    return StepModel(
        recording=network,
        spelling=spelling,
        tables=tables,
        examples=_examples(tagger, words),
        answers=answers,
        title=f"A tagger of sentences, {', '.join(by)}. {kind}.",
        meaning=[],
        digest=digest,
        page_alone=f"it reads words ('{words.column}'), which C would have to look up",
        page={
            "kind": "sentence",
            "parts": {name: list(known) for name, known in words.parts.items()},
            "letters": list(words.letters),
            "longest": MOST_LETTERS,
            "pairs": list(words.pairs),
            "ahead": words.ahead,
            "single": words.single,
            "spelled": bool(spelling),
            "outputs": targets.outputs,
            "classes": list(targets.classes),
            "columns": list(targets.columns),
            "center": np.ravel(targets.center).tolist(),
            "scale": np.ravel(targets.scale).tolist(),
            "share": share,
            "outside": -1 if targets.outside is None else targets.outside,
            "bias": float(predictor.outside_bias),
            "chained": chain is not None,
            "roles": _roles(targets.classes, targets.scheme),
            "slots": [] if plain is None else _slots(plain),
        },
    )  # fmt: skip


def _roles(labels: Sequence[str], scheme: str | None) -> list[tuple[str, str]] | None:
    """The role in a span, and the kind, of each label."""
    return None if scheme is None else [schemes.role_of(label, scheme) for label in labels]


def network_of_words(tagger: Tagger, words: Words, rounded: Rounding) -> tuple[Recording, Recording | None]:
    """What the network makes of the parts of words and of what was made of their letters; and that."""
    recorder, letters = Recorder(), Recorder(prefix="letters_")
    net = rounded_network(tagger, rounded, recorder)
    [own] = net.words
    parts = [recorder.token(f"part{k}", len(known) + 1, 1, 1) for k, known in enumerate(words.parts.values())]
    batch: dict[str, Any] = {
        "words.0.index": np.zeros((1, 1), np.int64),
        "words.0.parts": Symbol(recorder, np.concatenate([part.places for part in parts], 1)),
        "lengths": None,
        "state": SEQUENCE,
    }
    if words.pairs:
        sides = [recorder.token(f"pair{k}", len(words.pairs) + 1, 1, 1, 1) for k in range(1 + words.ahead)]
        batch["words.0.pairs"] = Symbol(recorder, np.concatenate([side.places for side in sides], -1))
    spelling = None
    if words.letters:
        speller = letters.net(tagger._architecture(), tagger._read_weights).words[0]
        ids = letters.token("letters", len(words.letters) + 2, 1, 1)
        ends, _ = speller.spelling(speller.letters(ids), SEQUENCE)
        letters.begin("once")
        spelling = letters.recording(spelled=ends)
        spelled = recorder.number("spelled", 2, 1, ends.shape[-1] // 2)
        parts_of: dict[str, Any] = vars(own)
        parts_of |= {"letters": lambda ids: ids, "spelling": lambda ids, lengths: (None, (spelled, None))}
        batch |= {"words.0.letters": None, "words.0.letter_counts": None}
    scores, _ = forward(net, batch)
    return recorder.recording(scores=scores), spelling


def _rounded(tagger: Tagger, rounded: Rounding) -> Linear:
    """Its regression; from then on the tagger has rounded weights, too."""
    own = tagger.plain_
    assert own is not None
    tagger.plain_ = Linear(own.windows, own.buckets, rounded(own.table), own.rest, own.bias, own.chain)
    return tagger.plain_


def _tables(plain: Linear) -> dict[str, np.ndarray]:
    return {
        "plain.buckets": plain.buckets.view(np.int32),
        "plain.weights": plain.table,
        "plain.bias": np.asarray(plain.bias, np.float32),
    }


def _slots(plain: Linear) -> list[tuple[int, list[tuple[str, int]]]]:
    """What is hashed at a step, each with the number that the hash begins with; as `Windows.hashes`."""
    return [(zlib.crc32(f"0.{number}".encode()), list(slot)) for number, slot in enumerate(plain.windows.slots(0))]


def sentences_for(words: Words) -> list[str]:
    """Words of its vocabulary, drawn at random, and odd ones."""
    rng, known = np.random.default_rng(0), words.parts["word"] or ["a"]
    drawn = [rng.integers(len(known), size=rng.integers(1, _WORDS)) for _ in range(_SENTENCES)]
    joint = "" if words.single else " "
    said = [joint.join(known[k] for k in own) for own in drawn]
    return [*_ODD, *(text.title() if place % 2 else text for place, text in enumerate(said))]


def _examples(tagger: Tagger, words: Words) -> Examples:
    _, scores, _ = _predicted(tagger, words)
    found = np.concatenate(scores)
    return Examples("words of sentences", {"words": np.zeros((len(found), 0), np.float32)}, {"scores": found})


def _predicted(tagger: Tagger, words: Words) -> tuple[list[list[str]], list[np.ndarray], list[np.ndarray]]:
    """The tokens of sentences, and of each (T, K) scores and (T,) labels or numbers."""
    predictor, sentences = tagger._predictor(), sentences_for(words)
    sequences, tokens = sequences_of(sentences, tagger.features_)
    encoded = tagger.features_.encode(sequences)
    cuts = sequences.offsets[1:-1]
    given = [[text[a:b] for a, b in own] for text, own in zip(sentences, tokens, strict=True)]
    return given, np.split(predictor.scores(encoded), cuts), np.split(predictor.labels(encoded), cuts)


def _answers(tagger: Tagger, words: Words) -> list[tuple[str, dict[str, Any]]]:
    name = "labels" if tagger.targets_.classes else "numbers"
    return [
        (text, {"tokens": tokens, "scores": scores.reshape(-1).tolist(), name: labels.reshape(-1).tolist()})
        for text, tokens, scores, labels in zip(sentences_for(words), *_predicted(tagger, words), strict=True)
    ]
