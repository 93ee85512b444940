"""Models of other libraries that answer as steps arrive, of one sequence or of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ...data.sequences import Sequences
from ...errors import DataError, OptionError
from ...runtime import sequential
from ...runtime.convolved import Convolution
from ...runtime.layers import as_carried, as_tuple
from ...runtime.sequential import Embedding, Layer, Masking, Pooling, Recurrent
from ...runtime.stepping import Kept, State
from ...runtime.streams import Arrays, LiveArrays, LiveStream, Run, Table
from ..options import names
from ..pieces import said
from .predictor import Predictor
from .reading import tokens_of

_WHOLE = "This model has to read a sequence whole, so that it has no streams"


def live(layers: Sequence[Layer]) -> tuple[list[int], list[Layer]]:
    """Layers that give at each step what the model answers to the steps so far, and their places in the model.

    Raises:
        OptionError: It does not answer so.
    """
    places: list[int] = []
    found: list[Layer] = []
    ended = False
    for place, layer in enumerate(layers):
        if isinstance(layer, Masking):  # what it hides is refused as a piece
            continue
        if isinstance(layer, Recurrent) and layer.direction != "forward":
            raise OptionError(f"{_WHOLE}: it reads a sequence from its end, too")
        if isinstance(layer, Convolution):
            raise OptionError(f"{_WHOLE}: its convolution reads several steps together")
        if ended and layer.steps not in ("any",):
            raise OptionError(f"{_WHOLE}: its {layer.kind} layer reads what is known at the end")
        if layer.after in ("ends", "makes"):
            ended = True
            if isinstance(layer, Pooling) and layer.of == "last":
                continue
            if not isinstance(layer, Recurrent):
                raise OptionError(f"{_WHOLE}: its {layer.kind} layer takes all steps together")
            layer = replace(layer, outputs="steps")
        elif ended and isinstance(layer, Recurrent):
            raise OptionError(f"{_WHOLE}: a recurrent layer reads what is known at the end")
        places.append(place)
        found.append(layer)
    return places, found


class ChainLayers(Kept):
    """All layers of a model, as streams run them: `LiveLayers`.

    Args:
        net: The parts of `runtime.sequential.architecture`.
    """

    def __init__(self, net: Any, layers: Sequence[Layer]):
        super().__init__(sequential.first_width(layers) or 1)
        places, self._layers = live(layers)
        self._net = type(net)({"layers": [net.layers[place] for place in places]})

    def zeros(self) -> State:
        parts = zip(self._net.layers, self._layers, strict=True)
        each = (part.start(1) for part, layer in parts if isinstance(layer, Recurrent))
        return [[value[0, 0] for value in own] for own in each]

    def run(self, x: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        [(y, after)] = self._together(x[:, None], [state])
        return y, after

    def push(self, streams: Any, x: np.ndarray, *, lengths: Any = None) -> np.ndarray:
        """As `Kept.push`; streams whose pieces have as many steps run side by side."""
        ends = accumulate([len(x)] if lengths is None else map(int, lengths), initial=0)
        pieces = [x[first:last] for first, last in pairwise(ends)]
        ids, groups = np.atleast_1d(streams).tolist(), dict[int, list[int]]()
        for place, piece in enumerate(pieces):
            groups.setdefault(len(piece), []).append(place)
        outputs: list[Any] = [None] * len(pieces)
        for own in groups.values():
            states = [self.state(ids[place]) for place in own]
            found = self._together(np.stack([pieces[place] for place in own], 1), states)
            for place, (outputs[place], after) in zip(own, found, strict=True):
                self.restore(ids[place], after)
        return np.concatenate(outputs)

    @np.errstate(all="ignore")  # damaged weights show in the output
    def _together(self, x: np.ndarray, states: Sequence[State]) -> list[tuple[np.ndarray, State]]:
        """Steps (T, B, ...) of B streams from their states: of each the outputs, and the state after them."""
        if not len(x):
            return [(np.zeros((0, sequential.last_width(self._layers)), np.float32), state) for state in states]
        before = [
            as_carried(tuple(np.stack(values)[None] for values in zip(*own, strict=True)))
            for own in zip(*states, strict=True)
        ]
        y, after = sequential.continued(self._net, self._layers, x, before)
        rows = range(len(states))
        return [(y[:, row], [[value[0, row] for value in as_tuple(own)] for own in after]) for row in rows]


class LiveRows(LiveArrays):
    """A model of another library as `runtime.streams.Live`, that answers with what it makes of all steps so far.

    A piece is steps: numbers (T, D) or (D,), or by column; numbers of tokens (T,) or one; or text, where there is a
    vocabulary. The answer is a class or a number, or several; of `LiveSteps` one of each step.
    """

    task = "sequential"

    def __init__(self, predictor: Predictor, digest: str):
        self._predictor, self.digest, width = predictor, digest, predictor.width
        self.layers = ChainLayers(predictor.net, predictor.layers)
        tokens = "a number of a token" if predictor.vocabulary is None else "text"
        self.unit = tokens if width is None else "a row of numbers"
        columns = names(predictor.options.columns) or tuple(map(str, range(width or 1)))
        self.channels = () if predictor.vocabulary is not None else columns

    def start(self) -> Arrays:
        return {}

    def checked(self, piece: Any, memory: Arrays) -> np.ndarray:
        """Tokens (T,), or (T, D) float32."""
        predictor = self._predictor
        if isinstance(piece, str):
            if predictor.vocabulary is None:
                raise DataError(f"a step is {self.unit}, not text")
            return self._counting(predictor.vocabulary.encode(piece))
        if isinstance(piece, Mapping):
            if missing := [name for name in self.channels if name not in piece]:
                raise DataError(f"the step has no '{missing[0]}'")
            columns = [np.asarray(piece[name], np.float64) for name in self.channels]
            if len({column.shape for column in columns}) > 1:
                raise DataError("the columns of a piece must have the same number of steps")
            piece = np.stack(columns, -1)
            piece = piece if predictor.width is not None else piece[..., 0]
        values = np.asarray(piece, np.float64)
        wanted = predictor.width
        if wanted is None:
            values = values.reshape(-1) if values.ndim < 2 or values.shape[1:] == (1,) else values
            fits = values.ndim == 1
        else:
            values = values.reshape(-1, wanted) if values.ndim < 2 and values.size % wanted == 0 else values
            fits = values.ndim == 2 and values.shape[1] == wanted
        if not fits or not values.size or not np.isfinite(values).all():
            width = "" if wanted is None else f", {wanted} of them"
            raise DataError(f"a step is {self.unit}{width}, not {said(piece)}")
        return self._counting(tokens_of(values, "the piece") if wanted is None else values.astype(np.float32))

    def _counting(self, x: np.ndarray) -> np.ndarray:
        """DataError if a step would be hidden from the model, or be no token of it."""
        first = self._predictor.layers[0]
        for layer in self._predictor.layers:
            if isinstance(layer, Masking) and layer is first and (x == np.float32(layer.value)).all(-1).any():
                raise DataError(f"a step of {layer.value:g} alone stands for none in this model. Leave it out")
        if isinstance(first, Embedding):
            if first.mask_zero and (x == 0).any():
                raise DataError("token 0 stands for no step in this model. Leave it out")
            if not 0 <= x.min() <= x.max() < first.count:
                raise DataError(f"a token is none of the numbers from 0 to {first.count - 1}")
        return x

    def answers(self, pieces: Sequence[np.ndarray], memories: Sequence[Arrays], run: Run) -> Sequence[Any]:
        return [self._answer(outputs) for outputs in run(pieces)]

    def _answer(self, outputs: np.ndarray) -> Any:
        return self._predictor.decided(outputs[-1:])[0]

    def sequences_of(self, frame: Any) -> Sequences:
        return self._predictor.read(frame)

    def piece_of(self, sequence: Sequences) -> Any:
        return self._predictor.inputs(sequence)[0]

    def table_of(self, answer: Any) -> Table:
        values = np.asarray(answer)
        several = values.ndim > (1 if self.each_step else 0)
        if not several:
            return {"predicted": np.atleast_1d(values)}
        predictor = self._predictor
        columns = predictor.classes if predictor.labels else [f"predicted_{n}" for n in range(values.shape[-1])]
        return {name: np.atleast_1d(values[..., place]) for place, name in enumerate(columns or ())}


class LiveSteps(LiveRows):
    """One that answers at each step."""

    each_step = True

    def _answer(self, outputs: np.ndarray) -> Any:
        return self._predictor.decided(outputs)


def live_model(predictor: Predictor, digest: str) -> LiveRows:
    """A model as streams run it. OptionError if it does not answer before the end."""
    return (LiveSteps if predictor.each_step else LiveRows)(predictor, digest)


class Stream(LiveStream):
    """Takes steps and answers at once; made by `Sequential.stream`."""

    def __init__(self, live: LiveRows):
        super().__init__(live)
