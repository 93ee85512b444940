"""Classes of sequences so far, while their steps arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...data.sequences import Column, Sequences, text_column
from ...data.text.segmentation import word_ends
from ...errors import DataError, OptionError
from ...runtime.stepping import Beside, live_layers
from ...runtime.streams import Arrays, LiveArrays, Run, Table
from ..pieces import said, steps_of
from .architecture import average, read_steps
from .inputs import frames_of
from .predictor import Predictor
from .targets import Targets

_TEXT = "held text"


class LiveClasses(LiveArrays):
    """A classifier as `runtime.streams.Live`.

    A piece is steps by column, see `pieces.steps_of`; of a classifier of whole texts, more of a text. The answer is
    about all steps so far: "predicted", a class, the labels or a number, and except for a number "probabilities" by
    class or label. It is None as long as there are none: a word of a text is read when what follows it came, and steps
    that are read together when all of them came. `finish` reads the rest.
    """

    task = "classify"

    def __init__(self, predictor: Predictor, digest: str):
        inputs = predictor.inputs
        self._predictor, self._inputs, self.digest = predictor, inputs, digest
        self._columns = columns_read(predictor)
        self._text = None if self._columns else inputs.text
        self.channels, self.unit = tuple(self._columns), unit_of(predictor)
        self._members = predictor.net.members
        self.layers = Beside(live_layers(member.layers) for member in self._members)
        self._units = [member.shape.hidden_size for member in self._members]  # streams read in one direction

    def start(self) -> Arrays:
        found: Arrays = {"steps": np.zeros((), np.int64), _TEXT: np.zeros(0, np.uint8)}
        for column in self._inputs.numbers:  # the last step, from which the change to the next one is
            found[f"last {column.name}"] = np.zeros((0, len(column.mean)))
        if self._inputs.stride > 1:
            found["waiting"], found["first"] = np.zeros((0, self._varying), np.float32), np.zeros((), np.int64)
        for number, (member, units) in enumerate(zip(self._members, self._units, strict=True)):
            found |= {f"{name} {number}": POOLS[name][0](units) for name in member.shape.pooling}
            if "attention" in member.shape.pooling:
                found[f"weight {number}"] = np.zeros(1)
        return found

    def checked(self, piece: Any, memory: Arrays) -> tuple[dict[str, np.ndarray] | None, Arrays]:
        """The arrays of the steps that can be read now, and what changes in the memory by that."""
        if self._text is not None:
            if not isinstance(piece, str):
                raise DataError(f"a piece is text, not {said(piece)}")
            text = memory[_TEXT].tobytes().decode("utf-8", "surrogatepass") + piece
            end = len(text)
            if self._text.tokens != "characters":  # the last token may go on
                end = max((found.start() for found in word_ends().finditer(text)), default=0)
            return self._words(text[:end]), {_TEXT: _as_bytes(text[end:])}
        return self._steps(steps_of(piece, self._columns), memory)

    def answers(
        self, pieces: Sequence[tuple[dict[str, np.ndarray] | None, Arrays]], memories: Sequence[Arrays], run: Run
    ) -> Sequence[Any]:
        outputs = run([self._read(piece, memory) for piece, memory in zip(pieces, memories, strict=True)])
        for y, memory in zip(outputs, memories, strict=True):
            self._pool(y, memory)
        known = [memory for memory in memories if memory["steps"]]
        answered = iter(self._answers(known) if known else [])
        return [next(answered) if memory["steps"] else None for memory in memories]

    def finish(self, memory: Arrays, run: Run) -> Any:
        piece = None
        if self._text is not None:
            text = memory[_TEXT].tobytes().decode("utf-8", "surrogatepass")
            piece = self._words(text), {_TEXT: np.zeros(0, np.uint8)}
        elif self._inputs.stride > 1 and len(memory["waiting"]):
            none = np.zeros((0, self._varying), np.float32)
            piece = self._frames(none, memory, end=True)
        return None if piece is None else self.answers([piece], [memory], run)[0]

    def _read(self, piece: tuple[dict[str, np.ndarray] | None, Arrays], memory: Arrays) -> np.ndarray:
        """(T, D) what the layers read of a piece."""
        batch, changed = piece
        memory.update(changed)
        if batch is None or not batch["lengths"][0]:
            return np.zeros((0, self.layers.inputs), np.float32)
        read = [read_steps(member, batch)[:, 0] for member in self._members]
        return np.ascontiguousarray(np.concatenate(read, axis=1), np.float32)

    def _pool(self, y: np.ndarray, memory: Arrays) -> None:
        if not len(y):
            return
        memory["steps"] = memory["steps"] + len(y)
        each = np.split(y, np.cumsum(self._units)[:-1], 1)
        for number, (member, own) in enumerate(zip(self._members, each, strict=True)):
            for name in member.shape.pooling:
                before = memory[f"{name} {number}"]
                if name == "attention":
                    weights = np.exp(member.question(own).astype(np.float64))  # bounded: it is of a tanh
                    memory[f"weight {number}"] = _added(memory[f"weight {number}"], weights)
                    memory[f"{name} {number}"] = _added(before, weights * own)
                else:
                    memory[f"{name} {number}"] = POOLS[name][1](before, own)

    def _answers(self, memories: Sequence[Arrays]) -> list[dict[str, Any]]:
        predictor, net = self._predictor, self._predictor.net
        scores = []
        for number, member in enumerate(self._members):
            pooling = member.shape.pooling
            rows = [[self._pooled(name, number, memory) for name in pooling] for memory in memories]
            scores.append(member.output(np.array([np.concatenate(row) for row in rows], np.float32)))
        found = predictor.targets.tempered(average(net, scores).astype(np.float64), predictor.temperature)
        found = predictor.targets.predictions(found)
        decided = predictor.targets.decide(found)
        return [answer_of(predictor.targets, *each) for each in zip(found, decided, strict=True)]

    def _pooled(self, name: str, number: int, memory: Arrays) -> np.ndarray:
        found = memory[f"{name} {number}"]
        if name == "mean":
            return found / np.float32(memory["steps"])
        return found / memory[f"weight {number}"] if name == "attention" else found

    def sequences_of(self, frame: Any) -> Sequences:
        return self._predictor.read(frame)

    def piece_of(self, sequence: Sequences) -> Any:
        return super().piece_of(sequence) if self._text is None else text_of(sequence, self._text)

    def table_of(self, answer: dict[str, Any] | None) -> Table:
        return table_of(self._predictor.targets, answer)

    def _words(self, text: str) -> dict[str, np.ndarray] | None:
        assert self._text is not None
        blank = text.isspace() and "\n" not in text and self._text.tokens != "characters"
        if not text or blank:
            return None
        [name] = self._text.names
        return self._inputs.encode(Sequences(np.array([0, 0]), {}, {name: text_column(name, [text])}, "the text"))

    def _steps(self, read: Sequences, memory: Arrays) -> tuple[dict[str, np.ndarray], Arrays]:
        """The same of steps by column."""
        inputs, changed = self._inputs, {}
        before = int(any(len(memory[f"last {column.name}"]) for column in inputs.numbers))
        steps = {}
        for name, column in read.steps.items():
            if self._columns[name] is None:
                steps[name] = text_column(name, [""] * before + list(column.values))
                continue
            last, values = memory[f"last {name}"], column.values.reshape(len(column.values), -1)
            if values.shape[1] != last.shape[1]:
                raise DataError(f"'{name}' has {values.shape[1]} numbers a step, but {last.shape[1]} were learned from")
            steps[name] = Column(name, "number", np.concatenate([last, values]))
            changed[f"last {name}"] = values[-1:].copy()
        data = Sequences(np.array([0, read.offsets[1] + before]), steps, name="row")
        if inputs.stride > 1:
            return self._frames(inputs.varying(data)[before:], memory, changed=changed)
        batch = inputs.encode(data)
        # Of what was read before, the last step is there for the change from it alone.
        by_step = {"numbers", "categories", "words", "word_of"}
        found = {name: array[before:] if name in by_step else array for name, array in batch.items()}
        return {**found, "lengths": batch["lengths"] - before}, changed

    def _frames(
        self, values: np.ndarray, memory: Arrays, *, changed: Arrays | None = None, end: bool = False
    ) -> tuple[dict[str, np.ndarray], Arrays]:
        """The frames that are complete with these steps, or all at the end."""
        stride, first = self._inputs.stride, int(memory["first"])
        waiting = np.concatenate([memory["waiting"], values])
        begin = max(0, first * stride - stride // 2)  # of what is waiting
        count = begin + len(waiting)
        last = -(-count // stride) if end else max(first, (count - 2 * stride + stride // 2) // stride + 1)
        found = frames_of(waiting, begin, range(first, last), stride)
        kept = max(0, last * stride - stride // 2) - begin
        after = {"waiting": waiting[:0] if end else waiting[kept:].copy(), "first": np.array(last)}
        return {"numbers": found[:, None], "lengths": np.array([len(found)])}, {**(changed or {}), **after}

    @property
    def _varying(self) -> int:
        """Numbers of a step, with marks of those that are missing."""
        return self._inputs.channels + sum(sum(column.missing) for column in self._inputs.numbers)

    def fits(self, memory: Arrays) -> bool:
        start = self.start()
        most = {_TEXT: len(memory[_TEXT]), "waiting": 2 * self._inputs.stride}  # steps, where they vary
        most |= {f"last {column.name}": 1 for column in self._inputs.numbers}
        for name, found in memory.items():
            if found.shape[1:] != start[name].shape[1:]:
                return False
            if len(found) > most[name] if name in most else found.shape != start[name].shape:
                return False
        counts = {len(memory[f"last {column.name}"]) for column in self._inputs.numbers}
        whole = [memory[name] for name in ("steps", "first") if name in memory]
        return len(counts) < 2 and bool(min(whole) >= 0) and _is_text(memory[_TEXT])


def columns_read(predictor: Predictor) -> dict[str, int | None]:
    """What a step consists of, see `pieces.steps_of`; nothing of a classifier of whole texts.

    Raises:
        OptionError: Something is known once for a sequence, which is no stream of steps.
    """
    inputs = predictor.inputs
    if predictor.sound is not None:
        raise OptionError("this classifier brings recordings to one level, for which it has to hear them whole")
    static = [column.name for column in inputs.numbers if not column.per_step]
    static += [column.name for column in inputs.categories if not column.per_step]
    texts = () if inputs.text is None or inputs.text.per_step else inputs.text.names
    if static or len(texts) > 1:
        names = ", ".join([*static, *texts])
        raise OptionError(f"this classifier reads {names} once for each sequence, which is no stream of steps")
    if texts:
        return {}
    found: dict[str, int | None] = {column.name: len(column.mean) for column in inputs.numbers}
    found |= dict.fromkeys(column.name for column in inputs.categories)
    return found | dict.fromkeys(() if inputs.text is None else inputs.text.names)


def unit_of(predictor: Predictor) -> str:
    """What a piece is made of, in words."""
    columns, text = columns_read(predictor), predictor.inputs.text
    return "text" if not columns else "a word" if text and len(columns) == 1 else "a row of values"


def answer_of(targets: Targets, found: Any, decided: Any) -> dict[str, Any]:
    """What a push returns.

    Args:
        found: (K,) probabilities, or one number.
        decided: A class, (K,) zeros and ones, or one number.
    """
    if targets.kind == "number":
        return {"predicted": float(decided)}
    chances = dict(zip(map(str, targets.classes), map(float, found), strict=True))
    labels = [name for name, on in zip(chances, decided, strict=True) if on] if targets.kind == "labels" else None
    plain = decided.item() if isinstance(decided, np.generic) else decided
    return {"predicted": plain if labels is None else labels, "probabilities": chances}


def reads_on(predictor: Predictor) -> bool:
    """Whether the classes of a sequence so far follow from those of its beginning and what came since; else it is read
    anew each time, see `prefixes`."""
    members = () if predictor.net is None else predictor.net.members
    alone = predictor.baselines is None or predictor.blend_weight == 1
    return bool(members) and alone and not any(member.layers.bidirectional for member in members)


def _added(before: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """A sum with more steps (T, ...), one after the other, however they are cut."""
    return np.add.accumulate(np.concatenate([before[None], steps]))[-1].copy()


# Way of pooling -> what it starts from, of so many units; and that with more steps.
POOLS: dict[str, tuple[Callable[[int], np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "last": (lambda units: np.zeros(units, np.float32), lambda before, y: y[-1].copy()),
    "mean": (lambda units: np.zeros(units, np.float32), _added),
    "max": (lambda units: np.full(units, -np.inf, np.float32), lambda before, y: np.maximum(before, y.max(0))),
    "attention": (np.zeros, _added),
}


def _as_bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)


def _is_text(data: np.ndarray) -> bool:
    try:
        data.tobytes().decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def text_of(sequence: Sequences, column: Any) -> str:
    """What a classifier of whole texts reads of one of a table."""
    [text] = sequence.column(column.names[0]).strings()
    return text or ""


def table_of(targets: Targets, answer: dict[str, Any] | None) -> Table:
    """What a push returns, as columns of a table, as `Classifier.predictions` names them."""
    if targets.kind == "labels":
        labels = map(str, targets.classes)
        return {name: [None if answer is None else name in answer["predicted"]] for name in labels}
    found: Table = {targets.columns[0]: [answer and answer["predicted"]]}
    if targets.kind == "category":
        found["probability"] = [answer and max(answer["probabilities"].values())]
    return found
