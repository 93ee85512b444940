"""The part of `generate` that continues sequences of numbers: pen strokes, sensors, movements."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ....data.channels import Channels
from ....data.readers.files import Source
from ....data.sequences import Sequences
from ....data.sources import Roles, kind_of, read
from ....errors import DataError, OptionError
from ...options import PRESETS, given_or, names
from ..options import GenerateOptions
from .predictor import layout_of

if TYPE_CHECKING:
    from ...fitting import Prepared
    from ..estimator import Generator
    from .batches import Examples, Steps
    from .evaluation import Plain
    from .network import TrajectoryModel

FORMATS = ("strokes", "ts", "arrays")  # files that hold numbers whatever the options say
# Options that numbers have no use for, and what they are where nobody asked for them; and the other way round.
OF_TEXT = {"tokens": "characters", "vocabulary_size": None, "embedding_size": None, "tie_weights": None}
OF_NUMBERS = ("columns", "key", "time", "mixtures")
BEGINNINGS = 64  # first steps of training sequences that are kept, for drawings that are to begin anywhere


@dataclass(frozen=True)
class Sizing:
    """Every size and rate of one training, chosen or given; see `Generator`."""

    hidden_size: int
    num_layers: int
    proj_size: int
    mixtures: int
    dropout: float
    learning_rate: float
    epochs: float
    batch_size: int
    chunk_length: int


@dataclass(frozen=True)
class Row:
    """What suits up to `steps` steps to learn from; `seen` is how many are read in all, counting each every time."""

    steps: float
    hidden_size: int
    num_layers: int
    dropout: float
    learning_rate: float
    seen: float
    batch_size: int


# The last by trials on two writers of Omniglot who were not learned from; the others shrink with the data.
ROWS = (
    Row(20_000, 128, 1, 0.3, 5e-3, 600_000, 8),
    Row(100_000, 256, 1, 0.3, 3e-3, 2_000_000, 16),
    Row(float("inf"), 256, 1, 0.15, 4e-3, 4_500_000, 32),
)


def is_numbers(data: Any, options: Generator) -> bool:
    """Whether data is continued as numbers: arrays and tables in Python, formats that hold nothing else, and any table
    of which a column is named in the options."""
    data = _alone(data)
    if hasattr(data, "read"):
        return False
    named = options.columns or options.key or options.time
    if isinstance(data, str | os.PathLike):
        path = os.fspath(data)
        return "://" in path or bool(named) or kind_of(path) in FORMATS
    if isinstance(data, list | tuple) and data and isinstance(data[0], str | os.PathLike):
        return bool(named) or not [*_no_strokes(data)]
    in_memory = isinstance(data, Sequences | Mapping | np.ndarray) or (isinstance(data, list | tuple) and bool(data))
    return in_memory or hasattr(data, "__arrow_c_stream__")


@dataclass(frozen=True)
class Learned:
    """What a model of numbers knows beside its weights.

    Attributes:
        sizing: Its sizes.
        channels: What a step holds.
        ends: Whether sequences have an end of their own.
        beginnings: (n, D) steps that they begin with.
        plain: The baselines, one of which the network begins with.
    """

    sizing: Sizing
    channels: Channels
    ends: bool
    beginnings: np.ndarray
    plain: Plain

    def network(self, options: Generator) -> TrajectoryModel:
        from .network import TrajectoryModel

        chosen, channels = self.sizing, self.channels
        return TrajectoryModel(
            options.find_cell(),
            layout_of(channels, chosen.mixtures, self.ends),
            len(channels) + int(channels.real.sum()) + len(channels.moves),
            channels.log_scale + float(np.log(self.plain.expected.spread).sum()),
            chosen.hidden_size,
            chosen.num_layers,
            proj_size=chosen.proj_size,
            dropout=chosen.dropout,
            variational=options.variational_dropout,
            forget_bias=float(options.forget_bias),
            recurrent_dropout=float(options.recurrent_dropout),
            zoneout=float(options.zoneout),
            weight_dropout=float(options.weight_dropout),
            activation_penalty=float(options.activation_penalty),
            temporal_activation_penalty=float(options.temporal_activation_penalty),
        )

    def examples(self, steps: Steps) -> Examples:
        from .batches import Examples

        return Examples.of(steps, self.plain.expected, self.channels)

    def measure(self, model: TrajectoryModel, steps: Mapping[str, Steps], with_baselines: bool) -> dict[str, Any]:
        """Figures by part; the baselines on the last of them."""
        from .evaluation import loss_of

        metrics: dict[str, Any] = {name: loss_of(model, self.examples(part)) for name, part in steps.items()}
        if with_baselines:
            metrics["baselines"] = self.plain.measure([*steps.values()][-1], self.channels, self.ends)
        return metrics

    # The model file.

    def document(self) -> dict[str, Any]:
        """See `Estimator._document`."""
        return {
            "sizes": vars(self.sizing),
            "channels": self.channels.to_json(),
            "ends": self.ends,
            "beginnings": self.beginnings.tolist(),
        }

    def tensors(self) -> dict[str, np.ndarray]:
        """Those of the plain methods, and which of them the network begins with."""
        plain = {f"plain.{name}": array for name, array in self.plain.tensors().items()}
        return {**plain, **{f"expected.{name}": array for name, array in vars(self.plain.expected).items()}}

    @classmethod
    def restore(cls, document: Mapping[str, Any], tensors: dict[str, Any]) -> Self:
        """Undo both; what is left of the tensors is the network's."""
        from .evaluation import Plain

        own = {name: tensors.pop(name).numpy() for name in [*tensors] if name.startswith(("plain.", "expected."))}
        GenerateOptions.check_values(document["sizes"])
        return cls(
            Sizing(**document["sizes"]),
            Channels.from_json(document["channels"]),
            bool(document["ends"]),
            np.array(document["beginnings"], np.float64),
            Plain(**{n.removeprefix("plain."): array for n, array in own.items() if n.startswith("plain.")}),
        )


def prepare(options: Generator, data: Any, validation: Any, encoding: str) -> tuple[Learned, Prepared]:
    """All that `Generator.fit` needs for numbers, and what is known before training."""
    from ...fitting import Prepared, plan_of
    from .batches import InOrder, Steps, Windows, cut, kept_whole
    from .evaluation import Plain

    for name, usual in OF_TEXT.items():
        if getattr(options, name) != usual:
            raise OptionError(f"{name} is for text, and these are numbers. Leave it out")
    sequences = _sequences(options, data, encoding)
    judged = None if validation is None else _sequences(options, validation, encoding)
    parts = cut(sequences, judged, options.split, int(options.seed))
    if not parts.keys() >= {"train", "validation"}:
        raise DataError(
            f"{sequences.name}: {int(sequences.offsets[-1])} steps leave no validation part to choose the best weights "
            "by. Give more, or it a larger share of split"
        )
    others = [part for name, part in parts.items() if name != "train"]
    channels = Channels.fit(parts["train"], _columns(options, sequences), others)
    steps = {name: Steps.of(part, channels) for name, part in parts.items()}
    if min(len(part.values) - len(part.lengths) for part in steps.values()) < 2:
        raise DataError(f"{sequences.name} has too few steps to learn what follows. Give longer or more sequences")
    count, first = int(steps["train"].offsets[-1]), steps["train"].offsets[:-1]
    spread = np.unique(np.linspace(0, len(first) - 1, BEGINNINGS).round().astype(int))
    learned = Learned(
        chosen := sizing(options, count),
        channels,
        kept_whole(sequences, judged),
        channels.matrix(parts["train"])[first[spread]],
        Plain.learn(steps["train"], channels),
    )
    training = Windows(learned.examples(steps["train"]), chosen.batch_size, chosen.chunk_length, int(options.seed))
    prepared = Prepared(
        build=lambda: learned.network(options),
        training=training,
        validation=InOrder(learned.examples(steps["validation"])),
        plan=plan_of(options, max(1, round(len(training) * chosen.epochs)), chosen.learning_rate),
        data={
            "name": sequences.name,
            "fingerprint": sequences.fingerprint(),
            "sequences": len(sequences),
            "held_out": judged is None,
        },
        identity={**vars(chosen), "validation": None if judged is None else judged.fingerprint()},
        measure=lambda finished: learned.measure(options.model_, steps, with_baselines=finished),
        unit="steps",
        per_step=count / len(training),
    )
    return learned, prepared


def evaluate(options: Generator, data: Any, encoding: str = "utf-8", whole: bool = False) -> dict[str, Any]:
    """`Generator.evaluate` for numbers; if `whole`, also data that was learned from is not cut."""
    from .batches import Steps, cut

    learned, known = options.numbers_, options.provenance_["data"]
    assert learned is not None
    sequences = _sequences(options, data, encoding)
    parts = {"all": sequences}
    if known["held_out"] and not whole and sequences.fingerprint() == known["fingerprint"]:
        parts = cut(sequences, None, options.split, int(options.seed))
    steps = {name: Steps.of(part, learned.channels) for name, part in parts.items()}
    if not sum(len(part.values) - len(part.lengths) for part in steps.values()):
        raise DataError(f"{sequences.name} has no step that another follows. Give longer sequences")
    return learned.measure(options.model_, steps, with_baselines=True)


def sizing(options: Generator, steps: int) -> Sizing:
    """Fill in what the user left open. OptionError if sizes contradict each other."""
    wider, longer = PRESETS[options.preset or "medium"]
    row = next(row for row in ROWS if steps <= row.steps)
    hidden, proj = int(given_or(options.hidden_size, row.hidden_size * wider)), int(options.proj_size)
    if proj >= hidden:
        raise OptionError(f"proj_size must be below hidden_size, which is {hidden}, not {proj}")
    batch = int(given_or(options.batch_size, row.batch_size))
    return Sizing(
        hidden_size=hidden,
        num_layers=int(given_or(options.num_layers, row.num_layers)),
        proj_size=proj,
        mixtures=int(given_or(options.mixtures, 20)),
        dropout=float(given_or(options.dropout, row.dropout)),
        learning_rate=float(given_or(options.learning_rate, row.learning_rate)),
        epochs=float(given_or(options.epochs, max(1.0, row.seen / steps) * longer)),
        batch_size=batch,
        chunk_length=int(given_or(options.chunk_length, 128)),
    )


# Reading.


def sequences_of(data: Any, key: Any, time: str | None, columns: Any, encoding: str = "utf-8") -> Sequences:
    """The data as sequences, as the options of these names say; several stroke files or folders as one.

    Raises:
        DataError: It cannot be read, or there is no sequence in it.
        OptionError: There are several files that are no drawings.
    """
    data = _alone(data)
    if isinstance(data, list | tuple) and data and isinstance(data[0], str | os.PathLike):
        from ....data.readers.strokes import read_strokes

        for other in _no_strokes(data):
            raise OptionError(f"only drawings are read from several files, and '{other}' holds none. Give one table")
        several: Iterable[Source] = data
        found = read_strokes([*several])
    else:
        roles = Roles(key=names(key), time=time, columns=names(columns) or None, per_step=True)
        found = read(data, None, roles, encoding=encoding)
    if not len(found):
        raise DataError(f"{found.name}: there is no sequence in it")
    return found


def _sequences(options: Generator, data: Any, encoding: str) -> Sequences:
    return sequences_of(data, options.key, options.time, options.columns, encoding)


def _columns(options: Generator, data: Sequences) -> tuple[str, ...] | None:
    """Those to learn from, if the options name them or there is one to leave out."""
    if options.columns is not None or options.time is None:
        return names(options.columns) or None
    return tuple(n for n, column in data.steps.items() if column.kind == "number" and n not in names(options.time))


def _no_strokes(data: Iterable[Any]) -> Iterator[Any]:
    """Those of several things that are no paths of drawings."""
    paths = (str, os.PathLike)
    return (one for one in data if not isinstance(one, paths) or kind_of(one) != "strokes")


def _alone(data: Any) -> Any:
    """What a list of one path holds, as a command line gives it."""
    single = isinstance(data, list) and len(data) == 1 and isinstance(data[0], str | os.PathLike)
    return data[0] if single else data
