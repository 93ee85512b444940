"""Options of `Classifier`."""

from collections.abc import Mapping
from typing import Any

from ...errors import OptionError, suggest
from ..fields import DATA, PROBABILITY, SIZE, SIZES, flag, one_of, option, options, real, whole
from ..options import (
    BatchOptions,
    BlendOptions,
    Columns,
    CommonOptions,
    RegulariserOptions,
    TableOptions,
    TimestampOptions,
    VectorOptions,
    WordOptions,
    names,
)

POOLINGS = ("last", "mean", "max", "attention")


def _pooling(name: str, value: Any) -> None:
    chosen = names(value)
    for pooling in chosen:
        if pooling not in POOLINGS:
            raise OptionError(suggest("pooling", str(pooling), POOLINGS))
    if not chosen or len(set(chosen)) < len(chosen):
        raise OptionError(f"{name} is one or more different ones of {', '.join(POOLINGS)}, not {value!r}")


def _class_weight(name: str, value: Any) -> None:
    if value != "balanced" and not isinstance(value, Mapping):
        raise OptionError(f"{name} is 'balanced' or a weight by class, not {value!r:.60}")


@options
class ClassifyOptions(
    VectorOptions,
    WordOptions,
    BatchOptions,
    RegulariserOptions,
    BlendOptions,
    CommonOptions,
    TimestampOptions,
    TableOptions,
):
    """Every option of `Classifier`."""

    target: Columns = option(
        default=None,
        help='Column to predict, or comma-separated columns of zeros and ones; "label" if omitted.',
        panel=DATA,
    )
    target_kind: str | None = option(
        default=None,
        help='What the target is, where its column does not tell: "category", "labels" or "number".',
        panel=DATA,
        check=one_of("kind of target", ("category", "labels", "number")),
    )
    label_from: str | None = option(
        default=None,
        help='Where labels stand in the names of sound or pen stroke files, such as "{label}_{take}".',
        panel=DATA,
    )
    tokens: str | None = option(
        default=None,
        help='Read text as "words", as "characters" or as "both", words and their spelling; chosen from the data, '
        "if omitted.",
        panel=DATA,
        check=one_of("kind of tokens", ("words", "characters", "both")),
    )
    vocabulary_size: int | None = option(
        default=None, help="The most words to keep; all if omitted.", panel=DATA, check=SIZE
    )
    min_frequency: int = option(default=1, help="How often a word must occur to be known.", panel=DATA, check=SIZE)
    embedding_size: int | None = option(default=None, help="Features per word.", panel=SIZES, check=SIZE)
    hidden_size: int | None = option(default=None, help="Units per layer and direction.", panel=SIZES, check=SIZE)
    stride: int | None = option(
        default=None, help="Steps of a long numeric sequence that are read as one.", panel=SIZES, check=SIZE
    )
    ensemble: int | None = option(
        default=None,
        help="Networks that are trained side by side, whose predictions are averaged.",
        panel=SIZES,
        check=whole(1, 100),
    )
    bidirectional: bool = option(default=True, help="Read each sequence forward and backward.", check=flag)
    pooling: Columns = option(
        default=("mean", "max", "attention"),
        help='How the steps of a sequence are pooled: "last", "mean", "max" or "attention", or several of them, '
        "comma-separated.",
        check=_pooling,
    )
    dropout: float | None = option(
        default=None, help="Dropout probability before and between layers, and before the output.", check=PROBABILITY
    )
    word_dropout: float = option(default=0.1, help="Probability that a word is hidden in training.", check=PROBABILITY)
    augmentation: float | None = option(
        default=None,
        help="How strongly numbers are stretched, scaled and blurred in training, and drawings bent; 0 switches it "
        "off.",
        check=real("0 or more, up to 5", lambda v: 0 <= v <= 5),
    )
    label_smoothing: float = option(
        default=0.1, help="Share of a class's probability that training spreads over all classes.", check=PROBABILITY
    )
    class_weight: str | Mapping[Any, float] | None = option(
        default=None, help='"balanced", or the weight of each class by name; all equal if omitted.', check=_class_weight
    )
