"""Options of `Detector`."""

from ..fields import DATA, PROBABILITY, SIZE, SIZES, one_of, option, options, real, shares, whole
from ..options import BlendOptions, Columns, TableOptions, TimestampOptions, WindowOptions


@options
class DetectOptions(BlendOptions, WindowOptions, TimestampOptions, TableOptions):
    """Every option of `Detector`."""

    target: str | None = option(
        default=None, help="Column that labels anomalies, 1 or true; only needed to evaluate.", panel=DATA
    )
    key: Columns = option(default=None, help="Comma-separated columns that tell one series from another.", panel=DATA)
    time: str | None = option(default=None, help="Column that orders the steps.", panel=DATA)
    columns: Columns = option(
        default=None, help="Comma-separated columns to watch; all numeric ones, if omitted.", panel=DATA
    )
    split: tuple[float, float, float] = option(
        default=(0.8, 0.1, 0.1),
        help="Shares of the training, validation and test parts, which follow each other in time.",
        panel=DATA,
        check=shares,
    )
    method: str = option(
        default="prediction",
        help='Anomalies are steps that a network cannot predict from those before ("prediction"), windows that an '
        'autoencoder cannot reconstruct ("reconstruction"), or either ("both").',
        check=one_of("method", ("prediction", "reconstruction", "both")),
    )
    distribution: str = option(
        default="student",
        help='Error distribution: "student" (Student-t) or "gaussian".',
        check=one_of("distribution", ("student", "gaussian")),
    )
    share: float | None = option(
        default=None,
        help="Share of the network in the scores; the rest is that of values, changes and shapes. If omitted: chosen "
        "on the anomalies that are labelled in the validation data, if there are five or more, and else 0.5, which "
        "weighs both alike.",
        check=real("from 0 to 1", lambda v: 0 <= v <= 1),
    )
    false_alarm_rate: float | None = option(
        default=None,
        help="Share of normal steps that may raise an alarm; sets the threshold. If omitted, an alarm is a score of "
        "4.5 standard deviations, or more where tails are heavy: of normal steps, 2 % at most.",
        check=real("above 0, up to 0.5", lambda v: 0 < v <= 0.5),
    )
    smoothing: int = option(
        default=5,
        help="Length of the moving average over errors, in steps, by which what lasts is found.",
        check=whole(1, 100_000),
    )
    history: int | None = option(
        default=None,
        help="Number of recent steps that define what is normal: what lasts longer is no anomaly any more. If omitted: "
        "1,000, or what finds the anomalies best that are labelled in the validation data.",
        check=whole(100, 100_000),
    )
    gap: int = option(
        default=10,
        help="Merge alarms into one event if at most this many steps without an alarm lie between them.",
        check=whole(0),
    )
    min_length: int = option(default=1, help="Shortest event, in steps.", check=SIZE)
    window: int = option(
        default=128,
        help="Length of truncated backpropagation and of the windows that are reconstructed, in steps.",
        panel=SIZES,
        check=whole(2, 100_000),
    )
    dropout: float = option(
        default=0.0,
        help="Dropout probability between layers.",
        check=PROBABILITY,
    )
