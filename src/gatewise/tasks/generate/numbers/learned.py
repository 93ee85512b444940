"""What a model of numbers learns from its training data, besides the weights of its network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ....data.channels import Channels
from ....data.sequences import Sequences
from ....errors import DataError
from ....runtime.network import Block
from ...document import taken
from ...options import names
from ...transfer import Axes, input_axes, row_names
from ..architecture import Regularisation, numbers_architecture
from ..options import GenerateOptions
from .baselines import Plain
from .document import Document
from .examples import Examples, Steps, split_sequences, whole_sequences
from .mixture import NEVER_LEARNED, Ends, Expected, Layout
from .predictor import features_of, layout_of
from .reading import columns_of
from .sizing import Sizing, sizing

BEGINNINGS = 64  # first steps of training sequences that are kept, to start new sequences from


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a model of numbers knows besides its weights.

    Attributes:
        sizing: Its sizes.
        channels: What a step holds.
        ends: Whether sequences have an end, which the model predicts too.
        beginnings: (n, D) first steps of sequences.
        plain: The baselines, one of which the network starts from.
        lengths: When sequences end, as far as their lengths tell, from which the network starts, too.
        strongest: Of the plain methods on the validation part; None if there was none.
    """

    sizing: Sizing
    channels: Channels
    ends: bool
    beginnings: np.ndarray
    plain: Plain
    lengths: Ends
    strongest: str | None = None

    @property
    def layout(self) -> Layout:
        """Of the network's output."""
        return layout_of(self.channels, self.sizing.mixtures, self.ends)

    @property
    def log_scale(self) -> float:
        """What the loss of a step of scaled values lacks to that of the values before."""
        return float(self.channels.log_scale + np.log(self.plain.expected.spread).sum())

    def architecture(self, options: GenerateOptions) -> Block:
        """What the network is made of."""
        return numbers_architecture(
            options.find_cell(),
            self.sizing,
            Regularisation.of(options),
            features=features_of(self.channels),
            outputs=self.layout.size,
        )

    def axes(self, options: GenerateOptions) -> Axes:
        """What the places of the network's weights are: what channels feed, and what their values are predicted by."""
        channels, layout = self.channels, self.layout
        real = tuple(name for name, is_real in zip(channels.names, channels.real, strict=True) if is_real)
        binary = [name for name in channels.names if name not in real]
        read = [
            *(("value", name) for name in channels.names),
            *(("surprise", name) for name in real),
            *(("place", channels.names[place]) for place in channels.moves),
        ]
        gaussians = sum(layout.sizes[:4])
        outputs = [*((real, place) for place in range(gaussians)), *binary, *(["end"] if layout.ends else [])]
        layers = self.architecture(options).parts["layers"]
        return {**input_axes(layers, "layers.", read), **row_names(outputs, "output.weight", "output.bias")}

    def examples(self, steps: Steps) -> Examples:
        """Steps as the network reads and predicts them."""
        return Examples.of(steps, self.plain.expected, self.lengths, self.channels)

    # The model file.

    def document(self) -> dict[str, Any]:
        """See `Estimator._document`."""
        return {
            "sizes": vars(self.sizing),
            "channels": self.channels.to_json(),
            "ends": self.ends,
            "beginnings": self.beginnings.tolist(),
            "strongest": self.strongest,
        }

    def tensors(self) -> dict[str, np.ndarray]:
        """The baselines, and what the network starts from."""
        plain = {f"plain.{name}": array for name, array in self.plain.tensors().items()}
        expected = {f"expected.{name}": array for name, array in vars(self.plain.expected).items()}
        return {**plain, **expected, "lengths.odds": self.lengths.odds}

    @classmethod
    def restore(cls, document: Document, tensors: dict[str, Any]) -> Self:
        """Undo both; takes its own tensors out, so that those of the network are left. ModelFileError if they have
        other shapes."""
        taken(tensors, "expected.", Expected.shapes(int(document.channels.real.sum())))
        plain = Plain(**taken(tensors, "plain.", Plain.shapes(document.channels)))
        plain.check()
        lengths = "lengths.odds" in tensors  # older models know no lengths
        return cls(
            sizing=document.sizes,
            channels=document.channels,
            ends=document.ends,
            beginnings=np.array(document.beginnings, np.float64),
            plain=plain,
            lengths=Ends(**taken(tensors, "lengths.", {"odds": (None,)})) if lengths else NEVER_LEARNED,
            strongest=document.strongest,
        )

    def resized(self, options: GenerateOptions, train: Steps) -> Learned:
        """The same with the sizes of the preset that counts now."""
        return replace(self, sizing=sizing(options, int(train.offsets[-1])))


def learn(
    options: GenerateOptions, sequences: Sequences, validation: Sequences | None
) -> tuple[Learned, dict[str, Steps]]:
    """What is known before training; and the scaled steps of each part.

    Args:
        validation: Validation data, if it was given apart.

    Raises:
        DataError: There is too little data, or a column is missing.
        OptionError: The sizes contradict each other.
    """
    group = names(options.group)
    parts = split_sequences(sequences, validation, options.split, int(options.seed), group)
    if options.split[1] and "validation" not in parts:
        raise DataError(
            f"{sequences.name}: {int(sequences.offsets[-1])} steps leave no validation part to choose the best weights "
            "by. Give more data, or raise the validation share of split"
        )
    others = [part for name, part in parts.items() if name != "train"]
    channels = Channels.fit(parts["train"], columns_of(sequences, options), others)
    steps = {name: Steps.of(part, channels) for name, part in parts.items()}
    if min(part.pairs for part in steps.values()) < 2:
        raise DataError(f"{sequences.name} has too few steps to learn what follows. Give longer or more sequences")
    first = steps["train"].offsets[:-1]
    chosen = np.unique(np.linspace(0, len(first) - 1, BEGINNINGS).round().astype(int))
    plain, ends, strongest = Plain.learn(steps["train"], channels), whole_sequences(sequences, validation, group), None
    if "validation" in steps:
        beside = plain.evaluate(steps["validation"], channels, ends)
        strongest = min(beside, key=lambda name: beside[name]["loss"])
    learned = Learned(
        sizing=sizing(options, int(steps["train"].offsets[-1])),
        channels=channels,
        ends=ends,
        beginnings=channels.matrix(parts["train"])[first[chosen]],
        plain=plain,
        lengths=Ends.learn(steps["train"].lengths),
        strongest=strongest,
    )
    return learned, steps
