"""Options of `Translator`."""

from ...errors import OptionError
from ..fields import DATA, PROBABILITY, SHARE, SIZE, SIZES, flag, one_of, option, options, shares
from ..options import CommonOptions, RegulariserOptions, VectorOptions, WordOptions, check_tokens


@options
class TranslateOptions(VectorOptions, WordOptions, RegulariserOptions, CommonOptions):
    """Every option of `Translator`."""

    source: str | None = option(
        default=None,
        help="Column of the texts to translate, in a table, or its number in lines with tabs; the first if omitted.",
        panel=DATA,
    )
    target: str | None = option(
        default=None, help="Column of their translations, likewise; the second if omitted.", panel=DATA
    )
    tokens: str | None = option(
        default=None,
        help='"characters", "words" or "byte-pairs"; characters for short texts and byte-pairs for others, if omitted.',
        panel=DATA,
        check=one_of("kind of tokens", ("characters", "words", "byte-pairs")),
    )
    vocabulary_size: int | None = option(
        default=None,
        help="The most tokens to keep; 10,000 words, or up to 6,000 byte-pairs, if omitted.",
        panel=DATA,
        check=SIZE,
    )
    shared_vocabulary: bool = option(
        default=True, help="One vocabulary, and one table of embeddings, for both sides.", panel=DATA, check=flag
    )
    split: tuple[float, float, float] = option(
        default=(0.9, 0.05, 0.05),
        help="Shares of the training, validation and test parts, drawn at random.",
        panel=DATA,
        check=shares,
    )
    only: str | None = option(
        default=None,
        help='"plain" trains no network, and keeps the strongest plain method alone; with "network" no plain method '
        "answers in its place.",
        check=one_of("value of only", ("plain", "network")),
    )
    attention: str = option(
        default="multiplicative",
        help='Attention of the decoder to the source: "additive", "multiplicative" or "none".',
        panel=SIZES,
        check=one_of("attention", ("additive", "multiplicative", "none")),
    )
    input_feeding: bool = option(
        default=False,
        help="Feed the decoder its output of the step before as well; slower to train.",
        panel=SIZES,
        check=flag,
    )
    copy_mechanism: bool = option(
        default=False,
        help="Let the decoder copy tokens of the source (pointer-generator), which suits summaries with names and "
        "numbers. Needs attention and a shared vocabulary.",
        panel=SIZES,
        check=flag,
    )
    hidden_size: int | None = option(
        default=None,
        help="Units per layer of the decoder; the encoder has half as many per direction.",
        panel=SIZES,
        check=SIZE,
    )
    dropout: float | None = option(
        default=None,
        help="Dropout probability of token features, between layers and before the output.",
        check=PROBABILITY,
    )
    label_smoothing: float = option(
        default=0.1, help="Share of the probability that training spreads over all tokens.", check=PROBABILITY
    )
    scheduled_sampling: float = option(
        default=0.0,
        help="Scheduled sampling: probability, at the end of training, that the decoder is fed a token that it drew "
        "itself instead of the target's; it grows from 0. Slower to train.",
        check=SHARE,
    )
    batch_tokens: int | None = option(default=None, help="Target tokens per batch, about.", check=SIZE)
    stop_on: str = option(
        default="loss",
        help='Which validation figure chooses the weights: "loss", or "bleu" of greedy translations.',
        check=one_of("figure to stop on", ("loss", "bleu")),
    )

    def check(self) -> None:
        super().check()
        if self.tokens is not None:
            check_tokens(self.tokens, self.vocabulary_size, self.min_frequency)
        if self.vectors is not None and self.tokens is None:
            raise OptionError("vectors are of words, and tokens are chosen from the data here. Add tokens='words'")
        if self.freeze_vectors and self.shared_vocabulary:
            raise OptionError(
                "freeze_vectors keeps embeddings of the source, and with one vocabulary these are those of the target, "
                "whose scores have to be learned. Add shared_vocabulary=False"
            )
        if self.copy_mechanism and (self.attention == "none" or not self.shared_vocabulary):
            raise OptionError("copy_mechanism needs attention to say where from, and one vocabulary for both sides")
