"""What a trained classifier predicts, and how good that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from .baselines import Baselines
from .batches import scores
from .inputs import Inputs
from .network import Ensemble
from .split import Parts
from .targets import Targets

_ROWS = 4096  # predictions that are handed out at once
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)  # that the networks may have in a prediction
_TEMPERATURES = (1.0, 0.85, 0.7, 0.6, 0.5, 1.2, 1.5, 2.0)  # for the networks; the first of equally good ones counts


@dataclass(frozen=True)
class Judge:
    """A trained model with all that is needed to use it; without baselines where training was interrupted.

    Attributes:
        trust: Share of the networks in a prediction; the rest is the regression's, whose mistakes are others.
        temperature: Of the networks' probabilities, see `Targets.tempered`.
    """

    model: Ensemble
    inputs: Inputs
    targets: Targets
    baselines: Baselines | None
    trust: float
    temperature: float

    def predicted(self, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """As `Targets.predictions`."""
        found = self.targets.tempered(self._networks(data, rows), self.temperature)
        if self.baselines is not None and self.trust < 1:
            found = self.trust * found + (1 - self.trust) * self.baselines.regression(
                self.inputs, self.targets, data, rows
            )
        return self.targets.predictions(found)

    def trusted(self, data: Sequences, rows: np.ndarray) -> tuple[float, float]:
        """The trust and the temperature that together give these held-out sequences the least loss: nats, or squared
        error of numbers.

        Training with smoothed labels makes networks look less sure than they are: without a temperature, a regression
        that is sure of itself would be trusted more than it deserves.
        """
        if self.baselines is None:
            return 1.0, 1.0
        networks, plain = self._networks(data, rows), self.baselines.regression(self.inputs, self.targets, data, rows)
        truth = self.targets.encode(data.take(rows))
        losses = {}
        for temperature in _TEMPERATURES if self.targets.kind != "number" else (1.0,):
            tempered = self.targets.tempered(networks, temperature)
            for share in _SHARES:
                losses[share, temperature] = self.targets.loss(truth, share * tempered + (1 - share) * plain)
        return min(losses, key=lambda pair: losses[pair])

    def _networks(self, data: Sequences, rows: np.ndarray) -> np.ndarray:
        return np.concatenate(list(scores(self.model, self.inputs, data, rows)))

    def figures(self, data: Sequences, rows: np.ndarray) -> dict[str, Any]:
        """How good it is on these sequences."""
        return self.targets.measure(self.targets.encode(data.take(rows)), self.predicted(data, rows))

    def all(self, data: Sequences) -> dict[str, Any]:
        """Figures of data that it was not trained on, under "all", and of the "baselines"."""
        rows = np.arange(len(data))
        return {"all": self.figures(data, rows), **self._plain(data, rows)}

    def parts(self, data: Sequences, judged: Sequences | None, parts: Parts) -> dict[str, Any]:
        """Figures by part of what it was trained on, and of the "baselines" on the last part that was held out.

        Of the training part, as many sequences are measured as are held out, but a thousand at least.

        Args:
            judged: Validation data of its own.
        """
        held = {name: (data, rows) for name, rows in parts.held_out.items()}
        if judged is not None:
            held = {"validation": (judged, np.arange(len(judged)))}
        few = max([1000, *(len(rows) for _, rows in held.values())])
        found = {"train": self.figures(data, parts.train[:few])}
        found |= {name: self.figures(*each) for name, each in held.items()}
        return found | (self._plain(*list(held.values())[-1]) if held else {})

    def tables(self, data: Sequences, keys: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """Predictions by column, some thousand sequences at a time; see `Classifier.predictions`."""
        for start in range(0, len(data), _ROWS):
            rows = np.arange(start, min(start + _ROWS, len(data)))
            found = self.predicted(data, rows)
            static = {name: np.array(data.static[name][rows].strings(), object) for name in keys if name in data.static}
            table: dict[str, np.ndarray] = static or {"sequence": rows}
            decided = self.targets.decided(found)
            if self.targets.kind == "labels":
                table |= {str(name): decided[:, label] for label, name in enumerate(self.targets.classes)}
            else:
                table[self.targets.columns[0]] = decided
            if self.targets.kind == "category":
                table["probability"] = found.max(1)
            yield table

    def _plain(self, data: Sequences, rows: np.ndarray) -> dict[str, Any]:
        if self.baselines is None:
            return {}
        return {"baselines": self.baselines.measure(self.inputs, self.targets, data, rows)}
