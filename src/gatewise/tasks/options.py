"""Options that several tasks share, and what is done with them whatever the task."""

from collections.abc import Mapping, Sequence
from typing import Any

from .. import cells
from ..algebra import Cell
from ..data.tables.schema import CSVFormat
from ..errors import OptionError
from .fields import (
    DATA,
    MOST,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    SIZE,
    SIZES,
    Options,
    a_cell,
    a_name,
    a_rate,
    flag,
    one_of,
    option,
    options,
    real,
    shares,
    whole,
)

PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}  # of the option -> Lightning's name
IN_BFLOAT16 = ("translate",)  # tasks that "auto" trains so: no figure is worse, and steps take a third less time
SCHEDULES = ("cosine", "schedule-free")

# (factor of the units, factor of the epochs)
PRESETS = {"small": (0.5, 0.5), "medium": (1.0, 1.0), "large": (1.5, 1.5)}
LEAST_VOCABULARY = {"words": 3, "byte-pairs": 256}  # two special tokens and a word; every byte

RATE = 1 / 3  # of its default, a learning rate of what goes on from a model; see benchmarks/transfer.py

Columns = str | Sequence[str] | None  # names of columns: one, several with commas between, or a list


@options
class CSVOptions(Options):
    """How a CSV file is written, where it does not tell or tells wrong."""

    separator: str | None = option(
        default=None, help='Sign between the cells of a CSV file, or "tab"; found out, if omitted.', panel=DATA
    )
    header: bool | None = option(
        default=None, help="Whether the first line of a CSV file names the columns; found out, if omitted.", panel=DATA
    )
    decimal: str | None = option(
        default=None, help='Sign before decimals in a CSV file, "." or ","; found out, if omitted.', panel=DATA
    )
    thousands: str | None = option(
        default=None, help="Sign between groups of three digits in a CSV file; found out, if omitted.", panel=DATA
    )
    missing: Columns = option(
        default=None,
        help='Comma-separated words that stand for a missing value in a CSV file, such as "-999"; NA and its like in '
        "columns of numbers and times, if omitted.",
        panel=DATA,
    )

    def csv_format(self) -> CSVFormat:
        """The same as the readers take it. OptionError if no file could be written so."""
        separator = {"tab": "\t", "\\t": "\t"}.get(str(self.separator), self.separator)
        missing = None if self.missing is None else names(self.missing)
        return CSVFormat(separator, self.header, self.decimal, self.thousands, missing)

    def check(self) -> None:
        super().check()
        self.csv_format()


@options
class CommonOptions(CSVOptions):
    """What every task has. A task that says more of one, or has another default, declares it again."""

    split: tuple[float, float, float] = option(
        default=(0.8, 0.1, 0.1), help="Shares of the training, validation and test parts.", panel=DATA, check=shares
    )
    group: Columns = option(
        default=None,
        help="Columns that say what belongs together, such as a speaker or a machine: no group is in two parts.",
        panel=DATA,
    )
    preset: str | None = option(
        default=None,
        help='How much time to spend: "small", "medium" or "large"; medium if omitted.',
        panel=SIZES,
        check=one_of("preset", tuple(PRESETS)),
    )
    cell: str | Cell = option(
        default="lstm",
        help="Recurrent cell: the name of one of the family, or a `Cell` of your own (on the command line, "
        "FILE.py:NAME).",
        panel=SIZES,
        check=a_cell,
    )
    hidden_size: int | None = option(default=None, help="Units per layer.", panel=SIZES, check=SIZE)
    num_layers: int | None = option(default=None, help="Recurrent layers.", panel=SIZES, check=whole(1, 1000))
    dropout: float | None = option(
        default=None, help="Dropout probability between layers and before the output.", check=PROBABILITY
    )
    learning_rate: float | str | None = option(
        default=None,
        help='Peak learning rate of AdamW, after a linear warm-up. "auto" finds it: several rates, each three times '
        "the one before, race over the first steps, and the one that validates best goes on.",
        check=a_rate,
        also="rate",
    )
    schedule: str = option(
        default="cosine",
        help='What the learning rate does after the warm-up: "cosine" falls to a hundredth at the last step; with '
        '"schedule-free" it stays, and the weights are averaged instead.',
        check=one_of("schedule", SCHEDULES),
    )
    weight_decay: float = option(
        default=0.01, help="Weight decay of AdamW, as a fraction of the rate.", check=NOT_NEGATIVE
    )
    clip: float | None = option(
        default=1.0, help="Largest norm of the gradient; larger ones are scaled down.", check=POSITIVE, off="no limit"
    )
    epochs: float | None = option(
        default=None,
        help="Passes over the training data.",
        check=real("above 0, up to 1,000,000", lambda v: 0 < v <= 1e6),
    )
    minutes: float | None = option(
        default=None,
        help="Minutes for all of fit, from reading the data to the last figure: they decide how many passes are made "
        "and, unless a preset is given, how large the network is.",
        check=real("above 0, up to 1,000,000", lambda v: 0 < v <= 1e6),
    )
    patience: int | None = option(
        default=None,
        help="Early stopping: validations without improvement after which training stops.",
        check=SIZE,
        off="never",
    )
    freeze: Columns = option(
        default=None,
        help="Comma-separated parts that stay as they are in the model that is gone on from, as `gatewise info "
        '--layers` names them, such as "embedding", or "layers.0" for the first of several.',
    )
    only: str | None = option(
        default=None,
        help='"plain" trains no network, and keeps the plain methods alone.',
        check=one_of("value of only", ("plain",)),
    )
    seed: int = option(default=0, help="Random seed.", check=whole(0, 2**63 - 1))
    threads: int | None = option(
        default=None, help="CPU threads; as many as PyTorch chooses, if omitted.", check=whole(1, 1024)
    )
    precision: str = option(
        default="auto",
        help='Of the matrix products of training: "float32", or "bfloat16", which is faster on processors that have '
        'it; "auto" is bfloat16 for translate on such processors, and float32 otherwise.',
        check=one_of("precision", ("auto", *PRECISIONS)),
    )

    def check(self) -> None:
        super().check()
        cell = self.find_cell()
        if cell.projected and not hasattr(self, "proj_size"):
            raise OptionError(f"the cell '{cell.name}' needs a proj_size, which is no option here. Take lstm instead")
        if self.minutes is not None and self.epochs is not None:
            raise OptionError(
                f"minutes={self.minutes:g} and epochs={self.epochs:g} both say how long to train. Leave one of them out"
            )
        if self.minutes is not None and self.only == "plain":
            raise OptionError('only="plain" trains no network, whose time minutes would be. Leave one of them out')

    @property
    def sized_as(self) -> str:
        """The preset that counts: the one that was given, or chosen for the minutes that there are."""
        return str(vars(self).get("_preset") or self.preset or "medium")

    def choose_preset(self, preset: str | None) -> None:
        """Let this preset count; None for the one that was given."""
        self._preset = preset

    _rate_factor = 1.0  # of default rates; an estimator has its own while it goes on from a model

    def rate_or(self, default: float) -> float:
        """The learning rate that the user gave or, if it was left open or is to be found, the default."""
        if self.learning_rate in (None, "auto"):
            return float(default) * self._rate_factor
        return float(self.learning_rate or 0)

    def find_cell(self) -> Cell:
        """The cell that `cell` is or names. OptionError if there is none of that name."""
        return cells.find(self.cell) if isinstance(self.cell, str) else self.cell


@options
class BlendOptions(Options):
    """Of tasks whose predictions are numbers, in which network and plain methods can be blended."""

    share: float | None = option(
        default=None,
        help="Share of the network in what is predicted; the rest is that of the plain methods. Chosen on validation "
        "data, if omitted.",
        check=real("from 0 to 1", lambda v: 0 <= v <= 1),
    )

    def check(self) -> None:
        super().check()
        if self.share and getattr(self, "only", None) == "plain":
            raise OptionError(f"only='plain' leaves no network that could have share={self.share}. Leave one out")


@options
class EarlyStoppingOptions(CommonOptions):
    """Of tasks that stop early unless the user says otherwise."""

    patience: int | None = option(
        default=8,
        help="Early stopping: validations without improvement after which training stops.",
        check=SIZE,
        off="never",
    )


@options
class RegulariserOptions(Options):
    """Regularisers of recurrent layers, which every cell has."""

    recurrent_dropout: float = option(
        default=0.0,
        help="Recurrent dropout: probability of hiding a unit of h from the recurrent weights, one mask per sequence "
        "or, where sequences are learned from in pieces, per piece.",
        check=PROBABILITY,
    )
    zoneout: float = option(
        default=0.0,
        help="Zoneout: probability that a unit keeps its value from the step before; when predicting, the expected "
        "value is used.",
        check=PROBABILITY,
    )
    weight_dropout: float = option(
        default=0.0, help="Probability of zeroing a recurrent weight, one mask per batch.", check=PROBABILITY
    )


@options
class BatchOptions(Options):
    """Of tasks that learn from so many sequences at once."""

    batch_size: int | None = option(default=None, help="Sequences per batch.", check=SIZE)


@options
class WindowOptions(BatchOptions, RegulariserOptions, EarlyStoppingOptions):
    """Of tasks that learn from windows of series."""

    num_layers: int = option(default=1, help="Recurrent layers.", panel=SIZES, check=whole(1, 1000))
    batch_size: int | None = option(default=None, help="Windows per batch.", check=SIZE)


@options
class TableOptions(Options):
    """Which columns of a table say what."""

    key: Columns = option(
        default=None, help="Comma-separated columns that tell one sequence from another in a table.", panel=DATA
    )
    time: str | None = option(default=None, help="Column that orders the steps of a sequence.", panel=DATA)
    columns: Columns = option(
        default=None, help="Comma-separated columns to learn from; all others if omitted.", panel=DATA
    )


@options
class TimestampOptions(Options):
    """What timestamps mean."""

    zone: str | None = option(
        default=None, help='Time zone of timestamps that do not say theirs, such as "Europe/Berlin".', panel=DATA
    )
    duplicates: str = option(
        default="error",
        help='What to do with two rows at one time: "error", or keep the "first", the "last" or the "mean".',
        panel=DATA,
        check=one_of("rule for duplicates", ("error", "first", "last", "mean")),
    )


@options
class VectorOptions(Options):
    """Of tasks whose embeddings of words can begin as word vectors."""

    vectors: str | None = option(
        default=None,
        help="File of word vectors that the embeddings of words begin as: of word2vec (text or binary), GloVe or "
        "fastText (.vec), gzip too. Its width is the embedding_size.",
        panel=DATA,
        check=a_name,
    )
    freeze_vectors: bool = option(
        default=False,
        help="Keep the vectors of the file as they are; words without one are learned all the same.",
        check=flag,
    )

    def check(self) -> None:
        super().check()
        if self.vectors is None:
            if self.freeze_vectors:
                raise OptionError("freeze_vectors is about the vectors of a file, and none is named. Add vectors")
            return
        if (tokens := getattr(self, "tokens", None)) not in (None, "words", "both"):
            raise OptionError(f"vectors are of words, and tokens={tokens!r} has none. Take tokens='words'")
        if getattr(self, "only", None) == "plain":
            raise OptionError("only='plain' leaves no network that vectors could go into. Leave one out")


@options
class WordOptions(Options):
    """Of tasks that read or write words."""

    min_frequency: int = option(
        default=1, help="How often a word must occur to have a token of its own.", panel=DATA, check=SIZE
    )
    vocabulary_size: int | None = option(default=None, help="The most tokens to keep.", panel=DATA, check=SIZE)
    embedding_size: int | None = option(default=None, help="Features per token.", panel=SIZES, check=SIZE)


def names(option: Columns) -> tuple[str, ...]:
    """The names in an option that is one, several with commas between, a list of them, or None."""
    if isinstance(option, str):
        return tuple(name.strip() for name in option.split(","))
    return tuple(option or ())


def given_or(option: Any, default: Any) -> Any:
    """An option, or a default where it was left open."""
    return default if option is None else option


def sized(options: CommonOptions, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes and rates by name, as the user gave them, in the type of the default; or else the default."""
    rate = options.rate_or(defaults["learning_rate"])
    given = {name: getattr(options, name) for name in defaults} | {"learning_rate": rate}
    return {name: default if given[name] is None else type(default)(given[name]) for name, default in defaults.items()}


def shares_of(split: Sequence[float], targets_apart: bool, validated_apart: bool) -> tuple[float, float, float]:
    """Shares of the three parts; what is not held out is learned from.

    Args:
        split: The option.
        targets_apart: Targets were given beside the data, as scikit-learn does, which tests on data of its own.
        validated_apart: So was validation data: files are cut already, then.
    """
    train, validation, test = (float(share) for share in split)
    if validated_apart:
        return (1.0, 0.0, 0.0)
    return (train + test, validation, 0.0) if targets_apart else (train, validation, test)


def check_tokens(tokens: str, vocabulary_size: int | None, min_frequency: int) -> None:
    """Refuse limits that this kind of tokens cannot have. OptionError."""
    if tokens == "characters" and (vocabulary_size is not None or min_frequency != 1):
        limit = "vocabulary_size" if vocabulary_size is not None else "min_frequency"
        raise OptionError(
            f"{limit} is for words and byte-pairs; characters are kept all. Leave it out, or name other tokens"
        )
    if vocabulary_size is not None:
        whole(LEAST_VOCABULARY[tokens], MOST)("vocabulary_size", vocabulary_size)
