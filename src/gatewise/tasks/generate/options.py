"""Options of `Generator`."""

from dataclasses import fields

from ... import cells
from ...algebra import Cell
from ...errors import OptionError
from ..fields import (
    DATA,
    MOST,
    NOT_NEGATIVE,
    SIZE,
    SIZES,
    flag,
    one_of,
    option,
    options,
    real,
    shares,
    whole,
)
from ..options import (
    BatchOptions,
    Columns,
    EarlyStoppingOptions,
    RegulariserOptions,
    TableOptions,
    VectorOptions,
    WordOptions,
    check_tokens,
)

FOR_TEXT = ("tokens", "vocabulary_size", "embedding_size", "tie_weights", "memorise", "only", "vectors")
FOR_NUMBERS = ("columns", "key", "time", "mixtures", "separator", "header", "decimal", "thousands", "missing")


@options
class GenerateOptions(VectorOptions, WordOptions, BatchOptions, RegulariserOptions, EarlyStoppingOptions, TableOptions):
    """Every option of `Generator`."""

    key: Columns = option(
        default=None,
        help="Comma-separated columns that tell one sequence of numbers from another in a table.",
        panel=DATA,
    )
    columns: Columns = option(
        default=None,
        help="Comma-separated numeric columns to continue; if omitted, dx, dy and up of pen strokes, and all of "
        "other data.",
        panel=DATA,
    )
    tokens: str = option(
        default="characters",
        help='"characters", "words" or "byte-pairs".',
        panel=DATA,
        check=one_of("kind of tokens", ("characters", "words", "byte-pairs")),
    )
    vocabulary_size: int | None = option(
        default=None,
        help="The most tokens to keep; 10,000 words or 4,096 byte-pairs, if omitted.",
        panel=DATA,
        check=SIZE,
    )
    split: tuple[float, float, float] = option(
        default=(0.9, 0.05, 0.05),
        help="Shares of the training, validation and test parts, which follow each other in a text.",
        panel=DATA,
        check=shares,
    )
    memorise: bool = option(
        default=False,
        help="Learn the text by heart: nothing is held out, and there is no dropout.",
        panel=DATA,
        check=flag,
    )
    mixtures: int | None = option(
        default=None,
        help="Gaussians in the mixture that predicts the numbers of the next step; 20 if omitted.",
        panel=SIZES,
        check=whole(1, 1000),
    )
    proj_size: int = option(
        default=0, help="Size of the layers' output if it is projected, else 0.", panel=SIZES, check=whole(0, MOST)
    )
    tie_weights: bool | None = option(
        default=None,
        help="Use one matrix as embedding and as output layer; where the sizes allow it, if omitted.",
        panel=SIZES,
        check=flag,
    )
    variational_dropout: bool = option(
        default=False, help="Use one dropout mask for all steps of a chunk, instead of one per step.", check=flag
    )
    activation_penalty: float = option(
        default=0.0, help="Weight in the training loss of the mean square of the layers' output.", check=NOT_NEGATIVE
    )
    temporal_activation_penalty: float = option(
        default=0.0,
        help="Weight in the training loss of the mean square of the change of the layers' output from step to step.",
        check=NOT_NEGATIVE,
    )
    forget_bias: float = option(
        default=1.0,
        help="Added to the bias of the forget gate before training.",
        check=real("from -100 to 100", lambda v: abs(v) <= 100),
    )
    batch_size: int | None = option(default=None, help="Rows of text, or sequences of numbers, per batch.", check=SIZE)
    chunk_length: int | None = option(
        default=None,
        help="Length of truncated backpropagation, in steps; of numbers, the most of a sequence that is read at once.",
        check=SIZE,
    )

    def check(self) -> None:
        super().check()
        check_tokens(self.tokens, self.vocabulary_size, self.min_frequency)
        if self.freeze_vectors and self.tie_weights:
            raise OptionError("tie_weights makes scores of the embedding, which freeze_vectors keeps. Leave one out")

    def check_kind(self, numbers: bool) -> None:
        """OptionError if an option was given that is for text, and the data is numbers; or the other way round."""
        for f in fields(self):
            value = getattr(self, f.name)
            if numbers and f.name in FOR_TEXT and value != f.default:
                raise OptionError(f"{f.name}={value!r} is for text, and these are numbers. Leave it out")
            if not numbers and f.name in FOR_NUMBERS and value != f.default:
                raise OptionError(f"{f.name}={value!r} is for numbers, and this is text. Leave it out")

    def find_cell(self) -> Cell:
        cell = super().find_cell()
        return cells.find("lstmp") if cell is cells.find("lstm") and self.proj_size else cell
