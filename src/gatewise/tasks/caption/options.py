"""Options of `Captioner`."""

from ...data.paired.captions import INPUTS
from ..fields import DATA, PROBABILITY, SIZE, SIZES, one_of, option, options, real, shares, whole
from ..options import BatchOptions, CommonOptions, WordOptions, check_tokens


@options
class CaptionOptions(WordOptions, BatchOptions, CommonOptions):
    """Every option of `Captioner`."""

    inputs: str | None = option(
        default=None,
        help='What arrays hold, where their shape does not tell: "images", "clips" or "features" (N, places, values).',
        panel=DATA,
        check=one_of("kind of inputs", INPUTS),
    )
    image_size: int | None = option(
        default=None,
        help="Height and width to which images from files are scaled, in pixels; 64 if omitted.",
        panel=DATA,
        check=whole(8, 4096),
    )
    min_frequency: int = option(
        default=1, help="How often a word must occur in the captions to be written.", panel=DATA, check=SIZE
    )
    vocabulary_size: int | None = option(
        default=None, help="The most words, with the two for padding and unknown words.", panel=DATA, check=SIZE
    )
    split: tuple[float, float, float] = option(
        default=(0.8, 0.1, 0.1),
        help="Shares of the training, validation and test parts: of the images, drawn at random.",
        panel=DATA,
        check=shares,
    )
    channels: int | None = option(
        default=None, help="Channels of the last convolution: features of a place.", panel=SIZES, check=SIZE
    )
    embedding_size: int | None = option(default=None, help="Features per word.", panel=SIZES, check=SIZE)
    hidden_size: int | None = option(default=None, help="Units per layer of the decoder.", panel=SIZES, check=SIZE)
    num_layers: int | None = option(default=None, help="Layers of the decoder.", panel=SIZES, check=whole(1, 1000))
    dropout: float | None = option(
        default=None,
        help="Dropout probability of the features of places and words, and before the output.",
        check=PROBABILITY,
    )
    epochs: float | None = option(
        default=None,
        help="Passes over the training images, each with one of its captions.",
        check=real("above 0, up to 1,000,000", lambda v: 0 < v <= 1e6),
    )
    batch_size: int | None = option(default=None, help="Images per batch.", check=SIZE)

    def check(self) -> None:
        super().check()
        check_tokens("words", self.vocabulary_size, self.min_frequency)
