"""A trained model that continues sequences of numbers, such as pen strokes and motion."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from .... import bundle
from ....algebra import Cell
from ....checks import number, whole
from ....compression import precision_of
from ....data.channels import Channels
from ....data.tables.schema import Schema
from ....document import Count, read
from ....errors import CellError, DataError, ModelFileError
from ....native.streams import Product
from ....runtime.layers import KITS, network_of
from ....runtime.network import checked
from ....runtime.sequence_model import architecture
from ....runtime.stepping import live_layers
from ....runtime.streams import Stream
from ...options import Columns
from .mixture import NEVER_LEARNED, Ends, Expected, Layout, draw


class State(NamedTuple):
    """All that the model remembers of a sequence. A value: nothing changes it in place.

    Attributes:
        layers: Per layer one vector (H,) per carried name.
        position: The sum of its movements, if it has any.
        expected: (R,) scaled real channels of the next step, by least squares.
        output: Of the network, for the next step; see `Layout`.
        steps: How many there were.
    """

    layers: Sequence[Sequence[np.ndarray]]
    position: np.ndarray
    expected: np.ndarray
    output: np.ndarray
    steps: int


class Tracer(Stream[State | None]):
    """Continues sequences of numbers, one step at a time.

    Args:
        document: A model's document, as in `bundle.Bundle`.
        tensors: Its weights.

    Attributes:
        channels: What a step holds.
        state: What it remembers of the steps that were pushed; None before the first.
        digest: Identifies the model file; "" if it came from none.
        layers: Of its network.

    Raises:
        ModelFileError: The document is not of such a model, or lacks a weight.

    Example:
        >>> tracer = Tracer.load("pen.gatewise")
        >>> drawing = np.array(list(tracer.trace(temperature=0.5, seed=1)))  # (T, 3): dx, dy, up
    """

    def __init__(self, document: Mapping[str, Any], tensors: Mapping[str, np.ndarray]):
        if document.get("task") != "generate" or "channels" not in document:
            raise ModelFileError("the model does not continue numbers. Of a text model, `Writer` continues text")
        try:
            self.channels = read(Channels, document["channels"], "channels")
            sizes = document["sizes"]
            mixtures = read(Count, sizes["mixtures"], "sizes.mixtures")
            self.layout = layout_of(self.channels, mixtures, read(bool, document["ends"], "ends"))
            block = architecture(
                cell=Cell.from_json(document["cell"]),
                input_size=features_of(self.channels),
                output_size=self.layout.size,
                hidden_size=read(Count, sizes["hidden_size"], "sizes.hidden_size"),
                num_layers=read(Count, sizes["num_layers"], "sizes.num_layers"),
                proj_size=read(int, sizes["proj_size"], "sizes.proj_size"),
            )
            own = {name: array for name, array in tensors.items() if name.startswith(("layers.", "output."))}
            precision = precision_of(document)
            net = network_of(block, checked(block, own), KITS[precision])
            self.layers = live_layers(net.layers)
            self._output = Product(net.output.weight, net.output.bias, precision)
            beginnings = read(list[list[float]], document["beginnings"], "beginnings")
            self._beginnings = np.array(beginnings, np.float64).reshape(-1, len(self.channels))
            self.expected = Expected(tensors["expected.weights"], tensors["expected.spread"])
            self._ends = Ends(tensors["lengths.odds"]) if "lengths.odds" in tensors else NEVER_LEARNED
            options = read(Mapping[str, Any], document.get("options", {}), "options")
            self._reading: dict[str, Any] = {
                name: read(Columns, options.get(name), f"options.{name}") for name in ("key", "time", "columns")
            }
            self.digest = str(document.get("sha256", ""))
            self._reading["schema"] = read(Schema | None, document.get("schema"), "schema")
            self._check()
            super().__init__()
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, StopIteration, CellError) as error:
            raise ModelFileError(f"the model is incomplete or contradicts itself ({error}). Train it again.") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tracer:
        """Open a model file. ModelFileError if it is none, or does not continue numbers."""
        found = bundle.load(path)
        return cls(found.document, found.tensors)

    def read(self, source: Any, first: int | None = None) -> list[np.ndarray]:
        """Sequences to continue, each (T, D).

        Args:
            source: A file, or anything else that `Generator.fit` reads as numbers.
            first: Read only this many steps of each.

        Raises:
            DataError: The data cannot be read, or lacks a channel.
        """
        from .reading import read_sequences

        data = read_sequences(source, **self._reading)
        values = self.channels.matrix(data)
        ends = data.offsets[1:] if first is None else np.minimum(data.offsets[:-1] + first, data.offsets[1:])
        return [values[start:end] for start, end in zip(data.offsets[:-1], ends, strict=True)]

    def plot(
        self, sequences: Sequence[np.ndarray], picture: str | os.PathLike[str], given: Sequence[int] | None = None
    ) -> None:
        """Draw sequences (T, D): pen strokes in a grid, other channels over time.

        Args:
            picture: A .png or .svg file to write.
            given: How many steps of each sequence were given; these are grey. None: no step.

        Raises:
            MissingExtra: matplotlib is not installed.
            OptionError: The picture is neither PNG nor SVG.
        """
        from .plot import draw as draw_sequences

        draw_sequences(picture, sequences, given or [0] * len(sequences), self.channels.names)

    def push(self, piece: np.ndarray) -> None:
        """Read steps that precede those to trace.

        Args:
            piece: (T, D) the next steps.

        Raises:
            DataError: It has no step, not D channels, or values that are not finite.
        """
        self._state = self._read(self.checked(piece, "a piece"), self._state)

    def trace(
        self, beginning: np.ndarray | None = None, length: int = 500, temperature: float = 0.8, seed: Any = None
    ) -> Iterator[np.ndarray]:
        """Continue a sequence, step by step, until it ends.

        Args:
            beginning: (T, D) steps to continue, instead of those that were pushed; they are not yielded. None: what
                was pushed, and the state then follows each step; if nothing was, the first step of a training sequence,
                which is yielded.
            length: Maximum number of steps to yield, 1 or more.
            temperature: See `mixture.draw`.
            seed: Random seed, or a `numpy.random.SeedSequence`; None for different steps each time.

        Yields:
            (D,) float64, in the order of `channels.names`.

        Raises:
            OptionError: A length below 1, a temperature below 0 or not finite, or a seed below 0.
            DataError: `beginning` has no step, not D channels, or values that are not finite.
        """
        whole("length", length, 1)
        number("temperature", temperature, "0 or more", lambda t: t >= 0)
        if not isinstance(seed, np.random.SeedSequence | None):
            whole("seed", seed, 0)
        rng = np.random.default_rng(seed)
        if beginning is not None:
            state = self._read(self.checked(beginning, "a beginning"), None)
            return (step for step, _ in self._draws(state, length, float(temperature), rng))
        if self._state is not None:
            return self._continue(self._state, length, float(temperature), rng)
        first = self._beginnings[rng.integers(len(self._beginnings))]
        following = self._draws(self._read(first[None], None), length - 1, float(temperature), rng)
        return chain([first], (step for step, _ in following))

    def _initial_state(self) -> None:
        return None

    def _continue(
        self, state: State, length: int, temperature: float, rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Steps that follow those pushed, which count as pushed themselves."""
        for step, after in self._draws(state, length, temperature, rng):
            self._state = after
            yield step

    def _draws(
        self, state: State, length: int, temperature: float, rng: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, State]]:
        """Steps (D,) that may follow a state, each with the state after it."""
        for _ in range(length):
            step = self.drawn(state.output, state.expected, rng, temperature)
            if step is None:
                return
            state = self._advance(step, state)
            yield self.channels.unscaled(step), state

    def drawn(
        self, output: np.ndarray, expected: np.ndarray, rng: np.random.Generator, temperature: float
    ) -> np.ndarray | None:
        """A scaled step (D,) that may follow, or None for the end; see `State` and `mixture.draw`."""
        values, binary, ended = draw(output, self.layout, rng, temperature)
        if ended:
            return None
        real = self.channels.real
        step = np.empty(len(real), np.float32)
        step[real], step[~real] = expected + self.expected.spread * values, binary
        return step

    def _read(self, steps: np.ndarray, state: State | None) -> State:
        """The state after more steps (T, D), of which there is at least one."""
        for step in self.channels.scaled(steps):
            state = self._advance(step, state)
        assert state is not None
        return state

    @np.errstate(all="ignore")  # damaged weights show in what comes out
    def _advance(self, step: np.ndarray, state: State | None) -> State:
        """The state after one more scaled step (D,)."""
        features, after = self.taken(step, state)
        layers = self.layers.step(features, after.layers)
        output = self.outputs(layers[-1][0][None], [after.steps])[0]
        return after._replace(layers=layers, output=output)

    def taken(self, step: np.ndarray, state: State | None) -> tuple[np.ndarray, State]:
        """What the layers read of one more scaled step (D,), and the state with it, as far as it follows from steps."""
        last = step[self.channels.real].astype(np.float64)
        position = self.channels.unscaled(step)[self.channels.moves]
        surprise = np.zeros_like(last)
        if state is None:
            state = State(self.layers.zeros(), np.zeros_like(position), last, np.zeros(0, np.float32), 0)
        else:
            surprise = (last - state.expected) / self.expected.spread
        position = state.position + position
        features = np.concatenate([step, surprise, position]).astype(np.float32)
        return features, state._replace(position=position, expected=self.expected(last), steps=state.steps + 1)

    def outputs(self, y: np.ndarray, steps: Sequence[int]) -> np.ndarray:
        """(B, layout.size) of the network, from the layers' output (B, H) and how many steps each has read."""
        output = self._output(y)
        if self.layout.ends:
            output[:, -1] += [self._ends.after(np.array(count)) for count in steps]
        return output

    def _check(self) -> None:
        """Whether what it knows besides the network fits together. ValueError if it does not."""
        if self._ends.odds.ndim != 1 or not len(self._ends.odds) or not np.isfinite(self._ends.odds).all():
            raise ValueError("it does not know when sequences end")
        wanted = Expected.shapes(self.layout.real)
        found = {"weights": self.expected.weights.shape, "spread": self.expected.spread.shape}
        if found != wanted:
            raise ValueError(f"its weights do not fit each other: {found}, where its sizes say {wanted}")
        if not len(self._beginnings) or not np.all(self.expected.spread > 0):
            raise ValueError("it does not know how sequences begin or continue")

    def checked(self, given: Any, what: str) -> np.ndarray:
        """Steps (T, D) that a user gave. DataError, which says what they are, if they are none."""
        names = ", ".join(self.channels.names)
        try:
            steps = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            kind = type(given).__name__
            raise DataError(f"{what} must be (T, {len(self.channels)}) numbers ({names}), not a {kind}") from None
        if steps.ndim != 2 or steps.shape[1] != len(self.channels) or not len(steps) or not np.isfinite(steps).all():
            wanted = f"(T, {len(self.channels)}) finite numbers ({names})"
            raise DataError(f"{what} must be {wanted}, not of shape {steps.shape}")
        return steps


def features_of(channels: Channels) -> int:
    """Numbers that a network reads at each step; see `Examples.features`."""
    return len(channels) + int(channels.real.sum()) + len(channels.moves)


def layout_of(channels: Channels, mixtures: int, ends: bool) -> Layout:
    """The output of a model of these channels."""
    real = int(channels.real.sum())
    return Layout(real, len(channels) - real, mixtures, ends)
