"""What the model file of a tagger says, beside its cell, its options and its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..document import TrainedOn
from ..fields import shares
from .baselines import Baselines
from .features import Features
from .linear import Blend
from .sizing import Sizing
from .targets import Targets
from .windows import Windows


@dataclass(frozen=True)
class Document:
    """See `Tagger._document`."""

    sizes: Sizing
    features: Features
    targets: Targets
    baselines: Baselines
    plain: Windows | None = None  # of the regression; models of before have none
    blend: Blend | None = None  # of models of before, whose networks predict alone
    strongest: str = ""

    def __post_init__(self) -> None:
        if self.plain is not None and len(self.plain.short) != len(self.features.words):
            raise ValueError(f"its regression reads {len(self.plain.short)} columns of tokens")
        if self.plain is None and self.blend is not None and self.blend.share < 1:
            raise ValueError(f"the share of its network is {self.blend.share}, and there is no regression")
        plain, classes = self.baselines, self.targets.classes
        if not {*plain.columns} <= {*self.features.columns}:
            raise ValueError("its baselines read columns that its features do not")
        if not {*plain.labels} <= {*classes} or bool(plain.labels) != bool(classes):
            raise ValueError("its baselines predict other labels than its targets")
        numbers = len(self.targets.columns)
        if any((len(v) if isinstance(v, list) else 0) != numbers for v in (plain.constant, *plain.table.values())):
            raise ValueError("its baselines predict other numbers than its targets")
        outputs = len(plain.labels) or self.targets.outputs
        wanted = self.features.width + 1 if plain.weights else 0
        if len(plain.weights) != wanted or any(len(row) != outputs for row in plain.weights):
            raise ValueError(f"its linear baseline needs {wanted} x {outputs} weights")


class Data(TrainedOn):
    """See `Tagger.evaluate`."""

    shares: Annotated[tuple[float, ...], shares]
