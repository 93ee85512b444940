"""Many sequences of numbers that are continued side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....checks import number
from ....runtime.streams import Arrays, LiveArrays, Run
from .predictor import State, Tracer


@dataclass(frozen=True)
class Following:
    """What may follow the steps that a stream has read.

    Attributes:
        tracer: Of the model.
        output, expected: See `predictor.State`.
    """

    tracer: Tracer
    output: np.ndarray
    expected: np.ndarray

    def draw(self, rng: np.random.Generator, temperature: float = 0.8) -> np.ndarray | None:
        """A step (D,) in the order of `channels`, to be pushed next; None where the sequence ends.

        Args:
            temperature: See `mixture.draw`.

        Raises:
            OptionError: The temperature is below 0 or not finite.
        """
        number("temperature", temperature, "0 or more", lambda t: t >= 0)
        step = self.tracer.drawn(self.output, self.expected, rng, float(temperature))
        return None if step is None else self.tracer.channels.unscaled(step)


class LiveNumbers(LiveArrays):
    """A model of numbers as `runtime.streams.Live`. A memory is a `State` by names, without its layers."""

    task = "generate"

    def __init__(self, tracer: Tracer):
        self._tracer, self.digest, self.layers = tracer, tracer.digest, tracer.layers
        self.channels = tuple(tracer.channels.names)
        self.unit = "a row of numbers"

    def start(self) -> Arrays:
        tracer = self._tracer
        return {
            "position": np.zeros(len(tracer.channels.moves)),
            "expected": np.zeros(tracer.layout.real),
            "output": np.zeros(tracer.layout.size, np.float32),
            "steps": np.zeros((), np.int64),
        }

    def checked(self, piece: Any, memory: Arrays) -> np.ndarray:
        return self._tracer.checked([piece] if np.ndim(piece) == 1 else piece, "a piece")

    def answers(self, pieces: Sequence[np.ndarray], memories: Sequence[Arrays], run: Run) -> Sequence[Following]:
        outputs = run([self._read(piece, memory) for piece, memory in zip(pieces, memories, strict=True)])
        found = self._tracer.outputs(np.stack([y[-1] for y in outputs]), [int(m["steps"]) for m in memories])
        for memory, output in zip(memories, found, strict=True):
            memory["output"] = output
        return [Following(self._tracer, memory["output"], memory["expected"]) for memory in memories]

    def _read(self, piece: np.ndarray, memory: Arrays) -> np.ndarray:
        state = None
        if memory["steps"]:
            state = State((), memory["position"], memory["expected"], memory["output"], int(memory["steps"]))
        rows = []
        for step in self._tracer.channels.scaled(piece):
            features, state = self._tracer.taken(step, state)
            rows.append(features)
        assert state is not None
        memory.update(position=state.position, expected=state.expected, steps=np.array(state.steps))
        return np.array(rows)

    def fits(self, memory: Arrays) -> bool:
        return super().fits(memory) and int(memory["steps"]) >= 0
