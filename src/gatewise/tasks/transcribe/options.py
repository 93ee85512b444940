"""Options of `Transcriber`."""

from ..fields import DATA, PROBABILITY, SHARE, SIZE, SIZES, flag, one_of, option, options, real, shares, whole
from ..options import BatchOptions, Columns, CommonOptions, RegulariserOptions, TableOptions

NORMALISATIONS = ("utterance", "running", "image", "training")


@options
class TranscribeOptions(BatchOptions, RegulariserOptions, CommonOptions, TableOptions):
    """Every option of `Transcriber`."""

    target: str | None = option(default=None, help='Column of the texts; "text" if omitted.', panel=DATA)
    key: Columns = option(
        default=None,
        help="Comma-separated columns that tell one sequence from another in a table of steps.",
        panel=DATA,
    )
    columns: Columns = option(
        default=None,
        help="Comma-separated columns to learn from; all numeric ones that are given per step, if omitted.",
        panel=DATA,
    )
    label_from: str | None = option(
        default=None,
        help='Where texts stand in the names of sound or pen stroke files, such as "{label}_{take}".',
        panel=DATA,
    )
    normalisation: str | None = option(
        default=None,
        help='Whose mean and standard deviation normalise the frames: of the whole "utterance", of its frames so '
        'far ("running"), or of the "training" data; "image" brings each image to one range of brightness first. If '
        'omitted, one of the first two for sound, "image" for images that are not read forward only, and "training" '
        "for other data.",
        panel=DATA,
        check=one_of("normalisation", NORMALISATIONS),
    )
    frame_stacking: int | None = option(
        default=None,
        help="Frames that are read as one step; if omitted, up to three for sound, as far as the texts leave room.",
        panel=DATA,
        check=whole(1, 1000),
    )
    split: tuple[float, float, float] = option(
        default=(0.8, 0.1, 0.1),
        help="Shares of the training, validation and test parts: of the sequences, drawn at random.",
        panel=DATA,
        check=shares,
    )
    image_hidden_size: int | None = option(
        default=None,
        help="Units per direction of the 2-D LSTM that reads images first; 0 reads the columns of images as they are.",
        panel=SIZES,
        check=whole(0),
    )
    hidden_size: int | None = option(default=None, help="Units per layer and direction.", panel=SIZES, check=SIZE)
    bidirectional: bool = option(
        default=True,
        help="Read in both directions; without it nothing depends on later steps, and `stream` works.",
        check=flag,
    )
    dropout: float | None = option(
        default=None, help="Dropout probability between layers and before the output.", check=PROBABILITY
    )
    augmentation: float | None = option(
        default=None,
        help="How strongly recordings are given other voices and microphones in training, and images of lines other "
        "hands; 0 switches it off. Pen strokes are varied if it is given; of other numbers it is refused.",
        check=real("0 or more, up to 5", lambda v: 0 <= v <= 5),
    )
    time_warp: float | None = option(
        default=None,
        help="Augmentation: largest share of its frames by which a moment is moved in time.",
        check=real("from 0 to below 0.5", lambda v: 0 <= v < 0.5),
    )
    time_mask: float | None = option(
        default=None, help="SpecAugment: largest share of the frames that each of two masks hides.", check=SHARE
    )
    frequency_mask: float | None = option(
        default=None,
        help="SpecAugment: largest share of the frequency bands that each of two masks hides.",
        check=SHARE,
    )
