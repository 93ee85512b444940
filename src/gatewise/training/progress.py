"""Training progress on stderr: a bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

from ..terminal import shown

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live

_LINE_SECONDS = 10.0  # shortest time between two plain lines, evaluations apart
_DRAW_SECONDS = 0.2  # drawing takes about a millisecond, which short steps would feel
_SPEED_SECONDS = 10.0  # speed is the mean over this long
_SHORTEST_BAR, _LONGEST_BAR = 8, 40  # columns


class Progress(Protocol):
    """What the training loop reports while it runs. Losses are in nats."""

    def start(self, step: int, steps: int, regularised: bool, held_out: bool) -> None:
        """Training begins, with `step` of `steps` done.

        `regularised`: the training loss has something in it that the validation loss has not, dropout for example, so
        that they do not compare.
        `held_out`: what validates is held out of training; else it is training data, and not called validation.
        """
        ...

    def lasts(self, steps: int) -> None:
        """There will be so many steps, as those so far show what there is time for."""
        ...

    def step(self, step: int, loss: float) -> None:
        """A step is finished."""
        ...

    def evaluation(self, step: int, train_loss: float, validation_loss: float, best: bool) -> None:
        """A validation is finished; `best` if its loss is the lowest so far."""
        ...

    def sample(self, step: int, text: str) -> None:
        """A text that the model generated."""
        ...

    def note(self, text: str) -> None:
        """A line for the user."""
        ...

    def stop(self) -> None:
        """Training is over, successfully or not."""
        ...


class ProgressFor(Protocol):
    """Makes the progress display of a run, as `choose` does."""

    def __call__(self, unit: str, per_step: float, /) -> Progress:
        """A display that counts in this unit (plural), `per_step` of which each step learns from."""
        ...


class Silent:
    """Shows nothing."""

    def start(self, step: int, steps: int, regularised: bool = False, held_out: bool = True) -> None:
        pass

    def lasts(self, steps: int) -> None:
        pass

    def step(self, step: int, loss: float) -> None:
        pass

    def evaluation(self, step: int, train_loss: float, validation_loss: float, best: bool) -> None:
        pass

    def sample(self, step: int, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def stop(self) -> None:
        pass


class Meter:
    """Speed, smoothed loss and time left.

    Args:
        unit: What speed counts, in the plural: "tokens".
        per_step: How many of them a step learns from.
    """

    def __init__(self, unit: str, per_step: float):
        self.unit, self.per_step, self.regularised, self.held_out = unit, per_step, False, True
        self.at = self.steps = self._first = 0
        self.loss: float | None = None
        self.validation: float | None = None
        self._began = 0.0
        self._recent: deque[tuple[float, int]] = deque()
        self._speed = ""

    def start(self, step: int, steps: int, regularised: bool = False, held_out: bool = True) -> None:
        self.at = self._first = step
        self.steps, self.regularised, self.held_out = steps, regularised, held_out
        self._began = time.monotonic()
        self.restart()

    def step(self, step: int, loss: float, now: float) -> None:
        self.at = step
        # A mean over about 50 steps that starts at the first loss rather than at zero.
        weight = max(0.02, 1 / (step - self._first))
        self.loss = loss if self.loss is None else self.loss + weight * (loss - self.loss)
        self._recent.append((now, step))
        while now - self._recent[0][0] > _SPEED_SECONDS and len(self._recent) > 2:
            self._recent.popleft()

    def restart(self) -> None:
        """Measure the speed afresh, after a pause in training."""
        if self._recent:
            self.speed_text()
        self._recent = deque([(time.monotonic(), self.at)])

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def loss_text(self, loss: float | None = None) -> str:
        """Of this loss; the smoothed one if None."""
        loss = self.loss if loss is None else loss
        return "" if loss is None else f"loss {loss:.3f}{' (regularised)' if self.regularised else ''}"

    def validation_text(self) -> str:
        name = "val" if self.held_out else "on training data"
        return f"{name} {self.validation:.3f}" if self.validation is not None else ""

    def speed_text(self) -> str:
        (then, before), (now, at) = self._recent[0], self._recent[-1]
        if at > before and now > then:  # otherwise training has just resumed, and the previous speed holds
            self._speed = f"{_short((at - before) * self.per_step / (now - then))} {self.unit}/s"
        return self._speed

    def left_text(self) -> str:
        made = self.at - self._first
        return f"{_clock(self.elapsed / made * (self.steps - self.at))} left" if made else ""


class Lines:
    """Plain lines, for logs and pipes: one per evaluation, and otherwise at most one every ten seconds.

    Args:
        unit, per_step: See `Meter`.
        stream: Standard error if None.
    """

    def __init__(self, unit: str = "steps", per_step: float = 1, stream: TextIO | None = None):
        self._meter = Meter(unit, per_step)
        self._stream = _Tolerant(stream or sys.stderr)
        self._next = 0.0
        self._waiting = ""  # a line that is due, unless a validation follows this step: one line per step is enough

    def start(self, step: int, steps: int, regularised: bool = False, held_out: bool = True) -> None:
        self._meter.start(step, steps, regularised, held_out)
        self._next = time.monotonic() + _LINE_SECONDS

    def lasts(self, steps: int) -> None:
        self._meter.steps = steps

    def step(self, step: int, loss: float) -> None:
        now = time.monotonic()
        if self._waiting:
            self.note(self._waiting)
            self._waiting = ""
        self._meter.step(step, loss, now)
        if now >= self._next:
            self._waiting = self._line(self._meter.loss_text(), self._meter.validation_text())

    def evaluation(self, step: int, train_loss: float, validation_loss: float, best: bool) -> None:
        self._waiting = ""
        self._meter.validation = validation_loss
        self.note(self._line(self._meter.loss_text(train_loss), f"{self._meter.validation_text()}{' (best)' * best}"))
        self._meter.restart()

    def sample(self, step: int, text: str) -> None:
        body = "\n".join(f"| {line}" for line in shown(text).split("\n"))
        self.note(f"--- written at step {step} ---\n{body}\n---")

    def note(self, text: str) -> None:
        self._stream.write((shown(text) if self._stream.isatty() else text) + "\n")
        self._stream.flush()

    def stop(self) -> None:
        pass

    def _line(self, *losses: str) -> str:
        meter = self._meter
        self._next = time.monotonic() + _LINE_SECONDS
        parts = [
            f"step {meter.at}/{meter.steps}",
            *losses,
            meter.speed_text(),
            _clock(meter.elapsed),
            meter.left_text(),
        ]
        return "  ".join(part for part in parts if part)


_DRAWN = Lock()  # held by the bar that is drawn: there is one at a time


class Bar(Lines):
    """A bar at the bottom of the terminal, which follows the terminal's width.

    While another run of this process has its bar there, this one writes lines above it.

    Args:
        unit, per_step: See `Meter`.
        stream: A terminal; standard error if None.
    """

    def __init__(self, unit: str = "steps", per_step: float = 1, stream: TextIO | None = None):
        from rich.console import Console

        stream = stream or sys.stderr
        stream = getattr(stream, "under", stream)  # of a `Terminal`, which shows no colours
        super().__init__(unit, per_step, stream)
        self._console = Console(file=cast(TextIO, self._stream), highlight=False)
        self._live: Live | None = None

    def start(self, step: int, steps: int, regularised: bool = False, held_out: bool = True) -> None:
        from rich.live import Live

        super().start(step, steps, regularised, held_out)
        if not _DRAWN.acquire(blocking=False):
            self._stream = _Tolerant(sys.stderr)  # which the other bar has made to write above it
            return
        # No thread of its own: it would compete with training. Standard output is left alone, as results go there.
        self._fit()
        self._live = Live(self, console=self._console, auto_refresh=False, redirect_stdout=False)
        self._live.start()
        self._draw()

    def step(self, step: int, loss: float) -> None:
        if self._live is None:
            super().step(step, loss)
            return
        now = time.monotonic()
        self._meter.step(step, loss, now)
        if now >= self._next or step == self._meter.steps:
            self._draw()

    def evaluation(self, step: int, train_loss: float, validation_loss: float, best: bool) -> None:
        if self._live is None:
            super().evaluation(step, train_loss, validation_loss, best)
            return
        self._meter.validation = validation_loss
        self._meter.restart()
        self._draw()

    def sample(self, step: int, text: str) -> None:
        if self._live is None:
            super().sample(step, text)
            return
        from rich.rule import Rule
        from rich.text import Text

        self._fit()
        edge = "|" if self._console.options.ascii_only else "│"
        self._console.print(Rule(f"written at step {step}", style="dim", align="left"))
        for line in Text(shown(text)).wrap(self._console, max(8, self._console.width - 3), tab_size=4):
            self._console.print(Text.assemble((f"{edge} ", "dim"), line))
        self._console.print()

    def note(self, text: str) -> None:
        if self._live is None:
            super().note(text)
            return
        self._fit()
        self._console.print(shown(text), markup=False)

    def stop(self) -> None:
        if self._live is not None:
            self._draw()
            self._live.stop()
            self._live = None
            _DRAWN.release()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        meter = self._meter
        texts = {  # most useful first; a narrow terminal shows the first few
            "count": f"{meter.at}/{meter.steps}",
            "loss": meter.loss_text(),
            "validation": meter.validation_text(),
            "left": meter.left_text(),
            "bar": " " * _SHORTEST_BAR,
            "speed": meter.speed_text(),
            "elapsed": _clock(meter.elapsed),
        }
        # One column stays free: writing into the last one makes some terminals break the line.
        room = options.max_width - 1
        shown: dict[str, str] = {}
        for name, text in texts.items():
            if len(text) + 1 > room:
                break
            if text:
                shown[name] = text
                room -= len(text) + 1
        grid = Table.grid(padding=(0, 1, 0, 0))
        cells: list[Any] = [Text(shown.get("count", ""), no_wrap=True)]
        if "bar" in shown:
            width = min(_LONGEST_BAR, _SHORTEST_BAR + room)
            cells.append(ProgressBar(total=max(1, meter.steps), completed=meter.at, width=width))
        for name in ("loss", "validation", "speed", "elapsed", "left"):
            if name in shown:
                cells.append(Text(shown[name], no_wrap=True))
        grid.add_row(*cells)
        yield grid

    def _draw(self) -> None:
        if self._live is not None:
            self._fit()
            self._live.refresh()
            self._next = time.monotonic() + _DRAW_SECONDS

    def _fit(self) -> None:
        """Ask our own terminal for its size: rich asks standard input's, which may be another one or none."""
        from rich.console import ConsoleDimensions

        with suppress(OSError, ValueError):
            size = os.get_terminal_size(self._stream.fileno())
            if size.columns:
                # Some terminals do not report their height; at 0 rich would draw nothing.
                self._console.size = ConsoleDimensions(size.columns, size.lines or 24)


def choose(
    quiet: bool = False, unit: str = "steps", per_step: float = 1, stream: TextIO | None = None
) -> Lines | Silent:
    """A bar on a terminal, lines elsewhere, nothing if `quiet`."""
    if quiet:
        return Silent()
    stream = stream or sys.stderr
    kind = Bar if stream.isatty() and os.environ.get("TERM") != "dumb" else Lines
    return kind(unit, per_step, stream)


class _Tolerant:
    """A stream that discards output once its reader is gone: a closed terminal must not end hours of training."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _short(number: float) -> str:
    """12345.6 -> "12.3k"."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return f"{number:.1f}" if number < 100 else f"{number:.0f}"


def _clock(seconds: float) -> str:
    """3725 -> "1:02:05"."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
