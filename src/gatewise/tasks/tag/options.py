"""Options of `Tagger`."""

from ...data.text.tagging_schemes import SCHEMES
from ..fields import DATA, PROBABILITY, SIZE, SIZES, flag, one_of, option, options, shares
from ..options import (
    BatchOptions,
    BlendOptions,
    Columns,
    CommonOptions,
    RegulariserOptions,
    TableOptions,
    TimestampOptions,
    VectorOptions,
)


@options
class TagOptions(
    VectorOptions, BatchOptions, RegulariserOptions, BlendOptions, CommonOptions, TimestampOptions, TableOptions
):
    """Every option of `Tagger`."""

    target: Columns = option(
        default=None,
        help='Column of the labels, one per step; "label" if omitted. Comma-separated columns of numbers are predicted '
        "together.",
        panel=DATA,
    )
    columns: Columns = option(
        default=None,
        help="Comma-separated columns to learn from, by name or number. If omitted: all others that are given per "
        "step; of a CoNLL file, the tokens alone.",
        panel=DATA,
    )
    scheme: str | None = option(
        default=None,
        help="Tagging scheme: BIO, IOB1, BIOES, BMES or BILOU; recognised from the labels, if omitted.",
        panel=DATA,
        check=one_of("tagging scheme", tuple(SCHEMES)),
    )
    repair: bool = option(
        default=False,
        help="Read spans that break their tagging scheme as conlleval does, instead of refusing them.",
        panel=DATA,
        check=flag,
    )
    split: tuple[float, float, float] = option(
        default=(0.8, 0.1, 0.1),
        help="Shares of the training, validation and test parts: of the sequences, drawn at random, or, where there "
        "are fewer than ten, of the steps of each in the order of time.",
        panel=DATA,
        check=shares,
    )
    embedding_size: int | None = option(default=None, help="Features per word.", panel=SIZES, check=SIZE)
    char_hidden_size: int | None = option(
        default=None,
        help="Units per direction of the character LSTM, which reads the spelling of words.",
        panel=SIZES,
        check=SIZE,
    )
    hidden_size: int | None = option(default=None, help="Units per layer and direction.", panel=SIZES, check=SIZE)
    crf: bool | None = option(
        default=None,
        help="Score whole sequences of labels (conditional random field), with the transitions that the tagging "
        "scheme allows; if omitted, where labels mark spans and both directions are read.",
        check=flag,
    )
    bidirectional: bool = option(
        default=True,
        help="Read in both directions; without it no label depends on later steps, and `stream` works.",
        check=flag,
    )
    normalise: bool | None = option(
        default=None,
        help="Scale measurements in each sequence, so that its offset and its scale do not count; if omitted, where "
        "that predicts held-out sequences better.",
        panel=DATA,
        check=flag,
    )
    dropout: float | None = option(
        default=None,
        help="Dropout probability of word features, between layers and before the output.",
        check=PROBABILITY,
    )
    chunk_length: int | None = option(
        default=None,
        help="Length of truncated backpropagation, in steps: longer sequences are learned from in pieces.",
        check=SIZE,
    )
