"""A trained classifier of texts for a page, whose script cuts texts, looks words up, and has the plain methods too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import OptionError
from ...runtime.network import Block
from ...runtime.recorder import SEQUENCE, Recorder
from ...runtime.recording import Examples, Recording, StepModel
from ..members import blueprint, cell_names
from ..stepwise import Rounding, rounded_network
from .architecture import SPELLING_SIZE, average
from .baselines.ngrams import LONGEST, MOST_CHARACTERS, UNITS, NGrams
from .baselines.plain import METHODS
from .baselines.regression import BUCKETS, regression_name
from .gathered import scores_of, tempered
from .inputs import LONGEST_WORD, Text

if TYPE_CHECKING:
    from .estimator import Classifier

_TEXTS, _WORDS = 12, 30  # of the examples
_ODD = (
    "",
    "It's 3.14, e-mail_me & don't <b>stop</b>!",
    "naïve Ångström… “x” 日本語の文 1,000 Zzyzx-12",
    "a\nb\n\n  c\t'tis the 'S",
)


def text_model(classifier: Classifier, digest: str, rounded: Rounding) -> StepModel:
    """The model as what its page computes of a text. OptionError if it reads more than that."""
    inputs, targets, text = classifier.inputs_, classifier.targets_, classifier.inputs_.text
    assert text is not None
    others = ", ".join([*(column.name for column in inputs.numbers), *(column.name for column in inputs.categories)])
    if others:
        raise OptionError(f"it reads {others} beside texts, for which its page has no place")
    share, baselines = float(classifier.blend_weight_), classifier.baselines_
    if baselines is None:
        share = 1.0
    network, spelling = (Recorder().recording(), None) if share == 0 else networks(classifier, text, rounded)
    tables: dict[str, np.ndarray] = {}
    shares: dict[str, float] = {}
    if baselines is not None and share < 1:
        for name, part in baselines.shares_of(targets).items():
            if name == regression_name(targets.kind):
                shares["regression"] = part
                tables |= _regression(classifier, rounded)
            elif METHODS[name][1] is NGrams:
                key, _ = METHODS[name]
                shares[key] = part
                tables |= _ngrams(classifier, name, key, rounded)
            else:
                raise OptionError(f"{name} has a share in what it predicts, and is not exported")
    weights = None if baselines is None or not shares else baselines.class_weights
    output = "number" if targets.kind == "number" else "probabilities"
    names = [] if share == 1 or baselines is None else [*baselines.shares_of(targets)]
    by = [*([f"cell {cell_names(classifier)}"] if share else []), *names]
    return StepModel(
        recording=network,
        spelling=spelling,
        tables=tables,
        examples=_examples(classifier, output),
        answers=_answers(classifier, output),
        title=f"A classifier of texts, {', '.join(by)}. "
        f"It tells: {', '.join(map(str, targets.classes[:20])) or targets.columns[0]}.",
        meaning=[],
        digest=digest,
        page_alone=f"it reads texts ('{text.names[0]}'), which C would have to cut into words and look up",
        page={
            "kind": "typed",
            "target": targets.kind,
            "name": targets.columns[0],
            "classes": [str(name) for name in targets.classes],
            "outputs": targets.outputs,
            "mean": targets.mean,
            "scale": targets.scale,
            "tokens": text.tokens,
            "splits": text.per_step,
            "words": list(text.words) if share else [],
            "characters": text.characters if share else "",
            "spelling": None if spelling is None else _spelling(spelling),
            "share": share,
            "shares": shares,
            "weights": None if weights is None else weights.tolist(),
            "buckets": BUCKETS,
            "ngrams": {key: {"longest": LONGEST[unit], "most": MOST_CHARACTERS} for key, unit in UNITS.items()},
        },
    )


def networks(classifier: Classifier, text: Text, rounded: Rounding) -> tuple[Recording, Recording | None]:
    """What the networks make of words and of what was made of their letters; and that."""
    recorder, letters = Recorder(), Recorder(prefix="letters_")
    net = rounded_network(classifier, rounded, recorder)
    spellers = letters.net(blueprint(classifier), classifier._read_weights)
    batch: dict[str, Any] = {"words": recorder.token("words", len(text.words) + 2, 1, 1)}
    if text.tokens == "both":
        for number, member in enumerate(net.members):
            _spelled(member, recorder.number(f"spelled{number}", 1, 1, 2 * SPELLING_SIZE))
        batch |= {"spelling": None, "spelling_lengths": np.ones(1, np.int64), "word_of": np.zeros((1, 1), np.int64)}
    scored = scores_of(recorder, net.members, batch, "sequence")
    recorder.begin("once")
    scores = [member.output(pool()) for member, pool in scored]
    kind = classifier.targets_.kind
    found = tempered(recorder, average(net, scores), kind, classifier.temperature_)
    main = recorder.recording(**{"number" if kind == "number" else "probabilities": found})
    if text.tokens != "both":
        return main, None
    letter = letters.token("letters", len(text.characters) + 2, 1, 1)
    ends = [member.speller(member.letters(letter), SEQUENCE)[0] for member in spellers.members]
    letters.begin("once")
    return main, letters.recording(**{f"spelled{number}": end for number, end in enumerate(ends)})


def _spelled(member: Block, spelled: Any) -> None:
    """What a speller makes of a word comes from elsewhere."""
    parts: dict[str, Any] = vars(member)
    parts |= {"letters": lambda ids: ids, "speller": lambda letters, lengths: (spelled, None)}


def _spelling(recording: Recording) -> dict[str, Any]:
    return {"longest": LONGEST_WORD, "names": [*recording.outputs], "size": 2 * SPELLING_SIZE}


def _regression(classifier: Classifier, rounded: Rounding) -> dict[str, np.ndarray]:
    """As tables; from then on the classifier has rounded weights, too."""
    assert classifier.baselines_ is not None
    own = classifier.baselines_.regression
    classifier.baselines_.regression = own = type(own)(own.buckets, rounded(own.words), own.rest, own.bias)
    return {
        "regression.buckets": own.buckets.astype(np.int32),
        "regression.weights": own.words,
        "regression.length": own.rest[0],
        "regression.bias": own.bias,
    }


def _ngrams(classifier: Classifier, name: str, key: str, rounded: Rounding) -> dict[str, np.ndarray]:
    """The same."""
    assert classifier.baselines_ is not None
    own = classifier.baselines_.methods[name]
    assert isinstance(own, NGrams)
    classifier.baselines_.methods[name] = own = NGrams(own.unit, own.keys, own.idf, rounded(own.weights), own.bias)
    return {
        f"{key}.keys": own.keys.astype(np.uint32).view(np.int32),
        f"{key}.idf": own.idf,
        f"{key}.weights": own.weights,
        f"{key}.bias": own.bias,
    }


def texts_of(text: Text) -> list[str]:
    """Words of its vocabulary, drawn at random, and odd ones."""
    rng, words = np.random.default_rng(0), text.words or ["a"]
    drawn = [rng.integers(len(words), size=rng.integers(1, _WORDS)) for _ in range(_TEXTS)]
    return [*_ODD, *(("" if text.tokens == "characters" else " ").join(words[k] for k in own) for own in drawn)]


def _predicted(classifier: Classifier, texts: list[str]) -> tuple[list[list[str]], np.ndarray]:
    """Their tokens, and (N, K) what is predicted."""
    data, predictor = classifier.inputs_.of_texts(texts), classifier._predictor()
    assert classifier.inputs_.text is not None
    found = predictor.outputs(data, np.arange(len(data)))
    return classifier.inputs_.text.cut(data), found.reshape(len(found), -1)


def _examples(classifier: Classifier, output: str) -> Examples:
    assert classifier.inputs_.text is not None
    _, found = _predicted(classifier, texts_of(classifier.inputs_.text))
    return Examples("texts of its words", {"texts": np.zeros((len(found), 0), np.float32)}, {output: found})


def _answers(classifier: Classifier, output: str) -> list[tuple[str, dict[str, Any]]]:
    assert classifier.inputs_.text is not None
    texts = texts_of(classifier.inputs_.text)
    tokens, found = _predicted(classifier, texts)
    return [(text, {"tokens": own, output: row.tolist()}) for text, own, row in zip(texts, tokens, found, strict=True)]
