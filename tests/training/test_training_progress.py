import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios

import pytest

from gatewise.terminal import Terminal as Guard
from gatewise.training import Bar, Lines, Silent, choose
from gatewise.training import progress as module
from gatewise.training.progress import Meter


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Terminal:
    """A pseudo-terminal whose size can be changed, and what was written to it."""

    def __init__(self):
        self.ours, theirs = pty.openpty()
        self.stream = os.fdopen(theirs, "w", encoding="utf-8")
        os.set_blocking(self.ours, False)

    def resize(self, columns, rows=24):
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def written(self):
        """What was written since last asked."""
        self.stream.flush()
        written = b""
        try:
            while part := os.read(self.ours, 65536):
                written += part
        except BlockingIOError:
            pass
        return written.decode()

    def lines(self):
        """The same without colours, cut where the cursor goes back or down."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.written())
        return [line for line in re.split(r"[\r\n]+", text) if line]

    def close(self):
        self.stream.close()
        os.close(self.ours)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal()
    terminal.resize(100)
    yield terminal
    terminal.close()


def run(progress, clock, steps, seconds=0.5, first=1):
    for step in range(first, first + steps):
        clock.now += seconds
        progress.step(step, 2.0)


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 200])
def test_the_bar_fits_its_terminal(terminal, clock, columns):
    terminal.resize(columns)
    bar = Bar("tokens", 2048, terminal.stream)
    bar.start(0, 12000)
    run(bar, clock, 30)
    bar.evaluation(30, 2.0, 2.5, True)
    run(bar, clock, 30, first=31)
    bar.stop()
    lines = terminal.lines()
    assert max(map(len, lines)) < columns
    assert lines[-1].startswith("60/12000")
    wanted = {"loss 2.000": 40, "val 2.500": 40, "left": 60, "4.1k tokens/s": 80, "0:30": 80, "━": 60}
    for words, enough in wanted.items():
        assert words in lines[-1] or columns < enough, words


def test_the_bar_follows_a_resize_and_asks_its_own_terminal(terminal, clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # of some other terminal
    bar = Bar("tokens", 1, terminal.stream)
    bar.start(0, 1000)
    widths = []
    for columns in (120, 60, 90):
        terminal.resize(columns)
        terminal.lines()
        run(bar, clock, 5, first=1 + bar._meter.at)
        widths.append(max(map(len, terminal.lines())))
    bar.stop()
    assert widths[1] < 60 < widths[2] < 90 < 120
    assert widths[0] < 120


def test_a_passage_stands_above_the_bar_set_off_wrapped_and_harmless(terminal, clock):
    terminal.resize(60)
    bar = Bar("tokens", 1, terminal.stream)
    bar.start(0, 10)
    terminal.lines()
    bar.sample(5, "[red]Shall[/red] I\n\n" + "long " * 30 + "\x1b[2J\x07")
    lines = terminal.lines()
    bar.stop()
    assert any("written at step 5" in line and "─" in line for line in lines)
    body = [line for line in lines if line.startswith("│")]
    assert body[0] == "│ [red]Shall[/red] I"
    assert body[-1].rstrip().endswith(r"\x1b[2J\x07")
    assert len(body) >= 5
    assert max(map(len, lines)) <= 60
    assert lines[-1].startswith("0/10"), "the bar is drawn again below"


def test_a_terminal_that_does_not_tell_its_height(terminal, clock):
    terminal.resize(60, rows=0)
    bar = Bar("tokens", 1, terminal.stream)
    bar.start(0, 10)
    run(bar, clock, 3)
    assert terminal.lines()[-1].startswith("3/10 ━")
    bar.stop()


def test_the_bar_draws_seldom(terminal, clock):
    bar = Bar("tokens", 1, terminal.stream)
    bar.start(0, 10_000)
    terminal.lines()
    run(bar, clock, 1000, seconds=0.001)
    assert len(terminal.lines()) <= 6
    bar.stop()


def test_lines_come_with_evaluations_and_every_ten_seconds_at_most(clock):
    stream = io.StringIO()
    lines = Lines("tokens", 100, stream)
    lines.start(0, 1000)
    run(lines, clock, 50)  # 25 seconds
    lines.evaluation(50, 1.5, 1.75, True)
    run(lines, clock, 10, first=51)
    lines.evaluation(60, 1.5, 1.875, False)
    lines.sample(60, "one\ntwo\x1b")
    lines.note("stopping")
    lines.stop()
    assert stream.getvalue().splitlines() == [
        "step 20/1000  loss 2.000  200 tokens/s  0:10  8:10 left",
        "step 40/1000  loss 2.000  200 tokens/s  0:20  8:00 left",
        "step 50/1000  loss 1.500  val 1.750 (best)  200 tokens/s  0:25  7:55 left",
        "step 60/1000  loss 1.500  val 1.875  200 tokens/s  0:30  7:50 left",
        "--- written at step 60 ---",
        "| one",
        r"| two\x1b",
        "---",
        "stopping",
    ]


def test_time_left_and_speed_begin_where_a_resumed_run_does(clock):
    meter = Meter("steps", 1)
    meter.start(500, 1000)
    clock.now += 10
    meter.step(510, 2.0, clock.now)
    assert meter.speed_text() == "1.0 steps/s"
    assert meter.left_text() == "8:10 left"


def test_speed_leaves_validation_out(clock):
    meter = Meter("steps", 1)
    meter.start(0, 100)
    for step in range(1, 11):
        clock.now += 1
        meter.step(step, 2.0, clock.now)
    clock.now += 60
    meter.restart()
    assert meter.speed_text() == "1.0 steps/s"
    clock.now += 1
    meter.step(11, 2.0, clock.now)
    assert meter.speed_text() == "1.0 steps/s"


def test_the_smoothed_loss_begins_with_the_first_and_follows(clock):
    meter = Meter("steps", 1)
    meter.start(0, 1000)
    meter.step(1, 4.0, 101.0)
    assert meter.loss == 4.0
    meter.step(2, 2.0, 102.0)
    assert meter.loss == 3.0
    for step in range(3, 300):
        meter.step(step, 1.0, 100.0 + step)
    assert meter.loss == pytest.approx(1.0, abs=0.02)


def test_a_reader_that_went_away_does_not_end_training(clock):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as stream:
        lines = Lines("steps", 1, stream)
        lines.start(0, 10)
        for step in range(1, 4):
            clock.now += 20
            lines.step(step, 1.0)
        lines.stop()
        # What is still in the buffer would break the pipe again on closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_what_fits_is_chosen(terminal, monkeypatch):
    assert isinstance(choose(quiet=True, stream=terminal.stream), Silent)
    assert isinstance(choose(stream=terminal.stream), Bar)
    assert isinstance(choose(stream=io.StringIO()), Lines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose(stream=terminal.stream), Lines)


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("kind", [Bar, Lines])
def test_text_cannot_command_the_terminal(terminal, kind, guarded):
    """Not even if the bar is told to write to what guards it: its own colours still arrive."""
    progress = kind(stream=Guard(terminal.stream) if guarded else terminal.stream)
    progress.start(0, 10)
    progress.note("a note\x1b[2J \x9b1A")
    progress.sample(1, "ü—字\r\x00\x9b\x1b]0;title\x07\n\u202ereversed")
    progress.stop()
    written = terminal.written()
    assert "a note\\x1b[2J \\x9b1A" in written
    assert "ü—字\\r\\x00\\x9b\\x1b]0;title\\x07" in written
    assert "\\u202ereversed" in written
    for command in ("\x1b[2J ", "\x1b]", "\x07", "\x00", "\x9b", "\u202e"):
        assert command not in written
    assert ("\x1b[" in written) == (kind is Bar)


def test_a_second_bar_on_a_terminal_writes_lines_above_the_first(terminal, clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    first, second = choose(unit="tokens"), choose(unit="images")
    first.start(0, 100)
    second.start(0, 50)
    assert sys.stderr is not terminal.stream  # rich has put its own there
    run(first, clock, 3)
    run(second, clock, 3)
    terminal.lines()
    second.evaluation(3, 1.5, 1.25, True)
    second.note("as it was")
    above = terminal.lines()
    assert any(line.startswith("step 3/50  loss 1.500  val 1.250 (best)") for line in above)
    assert "as it was" in above
    assert above[-1].startswith("3/100 ")
    first.stop()
    assert sys.stderr is terminal.stream
    second.evaluation(4, 1.5, 1.125, True)
    second.stop()
    assert any("val 1.125" in line for line in terminal.lines())
    third = choose()
    third.start(0, 7)
    assert terminal.lines()[-1].startswith("0/7 ")  # the place is free again
    third.stop()


def test_one_line_for_a_step(clock):
    """A line that was due when a validation began is the validation's."""
    stream = io.StringIO()
    lines = Lines("tokens", 100, stream)
    lines.start(0, 1000)
    run(lines, clock, 20)
    lines.evaluation(20, 1.5, 1.75, True)
    run(lines, clock, 21, first=21)
    steps = [line.split()[1] for line in stream.getvalue().splitlines()]
    assert steps == ["20/1000", "40/1000"]


@pytest.mark.parametrize("regularised", [False, True])
def test_a_loss_with_dropout_in_it_says_so(clock, regularised):
    stream = io.StringIO()
    lines = Lines("tokens", 100, stream)
    lines.start(0, 1000, regularised)
    run(lines, clock, 3)
    lines.evaluation(3, 1.5, 1.75, True)
    assert ("loss 1.500 (regularised)  val 1.750 (best)" in stream.getvalue()) == regularised
    assert ("loss 1.500  val 1.750 (best)" in stream.getvalue()) != regularised
