"""Text of files, vocabularies and models on a terminal: shown, never obeyed; into files and pipes as it is."""

import io
import os
import pty
import re
import sys
import threading
import unicodedata

import pytest

from gatewise.cli import main
from gatewise.tasks.classify.estimator import Classifier
from gatewise.tasks.generate.estimator import Generator
from gatewise.terminal import shown

CLEAR, TITLE, UP = "\x1b[2J", "\x1b]0;gone\x07", "\x9b1A"
HOSTILE = f"{CLEAR}{TITLE}{UP}\r\b\x7f\u202egpj\u2066\u200f"
COMMANDS = {*HOSTILE} - {*"[2J]0;gone1Agpj"}


def test_what_is_escaped_and_what_is_not():
    kept = "a\tb\nü—字 é \u0301 שלום مرحبا 👩\u200d👩 \u00a0\ufeff\\x1b"
    assert shown(kept) == kept
    assert shown("\x1b[0m\r\n") == "\\x1b[0m\\r\n"
    every = [chr(code) for code in range(0x110000)]
    escaped = {character for character in every if shown(character) != character}
    control = {c for c in every if unicodedata.category(c) in ("Cc", "Cs")} - {"\n", "\t"}
    turns = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    assert escaped == control | {c for c in every if unicodedata.bidirectional(c) in turns} | set("\u200e\u200f\u061c")
    assert all(shown(c) == repr(c)[1:-1] for c in escaped)


class Screen:
    """A pseudo-terminal in the place of standard output and error, and what was written to it."""

    def __init__(self, monkeypatch):
        self._ours, theirs = pty.openpty()
        self._stream = os.fdopen(theirs, "w", encoding="utf-8")
        self._written = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, self._stream)
        monkeypatch.setenv("TERM", "xterm-256color")

    def _read(self):
        while True:
            try:
                part = os.read(self._ours, 65536)
            except OSError:  # the other end is closed
                return
            self._written += part

    def text(self):
        """All that was written; the terminal itself puts \\r before \\n."""
        self._stream.close()
        self._reader.join()
        os.close(self._ours)
        return self._written.decode().replace("\r\n", "\n")


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A command on a terminal, and the same into pipes: the exit code and all output of both."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words):
        capsys.readouterr()
        code = main(words)
        piped = "".join(capsys.readouterr())
        with monkeypatch.context() as patch:
            screen = Screen(patch)
            try:
                assert main(words) == code
                assert (sys.stdout, sys.stderr) == (screen._stream, screen._stream)
            finally:
                written = screen.text()
        return code, written, piped

    return call


def harmless(written):
    return not COMMANDS & set(written)


def test_a_table(call, tmp_path):
    path = tmp_path / "a.csv"
    rows = "".join(f"{day},{HOSTILE[:-1] if day % 2 else 'fine'}\n" for day in range(1, 21)).replace("\r", "")
    path.write_text(f"{UP}value,label\n{rows}")
    code, written, _ = call("info", "a.csv")
    assert code == 0
    assert harmless(written)
    assert "\\x1b[2J" in written
    assert "\\x9b1Avalue" in written
    code, written, _ = call("info", "--json", "a.csv")
    assert code == 0
    assert harmless(written)


def test_generated_text_keeps_lines_and_tabs(call):
    text = f"ab\t{CLEAR}{UP}\u202ecd\n" * 150
    model = Generator(hidden_size=16, epochs=10, batch_size=4, chunk_length=32, learning_rate=0.02, seed=1)
    model.fit(io.StringIO(text)).save("model")
    code, written, piped = call("sample", "model", "--length", "200", "--seed", "1", "--prompt", "ab\t")
    assert code == 0
    assert harmless(written)
    assert "\\x1b[2J\\x9b1A\\u202ecd\nab\t" in written
    assert f"{CLEAR}{UP}\u202ecd\nab\t" in piped
    assert written == shown(piped)
    code, written, _ = call("info", "model")
    assert code == 0
    assert harmless(written)


def test_labels(call):
    texts = [f"{word} {number}" for number in range(30) for word in ("good", "bad")]
    labels = [f"{CLEAR}{word}\u202e" for _ in range(30) for word in ("good", "bad")]
    Classifier(hidden_size=4, epochs=1, seed=1).fit(texts, labels).save("model")
    with open("data.csv", "w") as file:
        file.write("text,label\n" + "".join(f"{pair[0]},{pair[1]}\n" for pair in zip(texts, labels, strict=True)))
    code, written, piped = call("predict", "model", "data.csv")
    assert code == 0
    assert harmless(written)
    assert written == shown(piped)
    assert CLEAR in piped
    for words in (("evaluate", "model", "data.csv"), ("info", "model"), ("predict", "model", "data.csv", "--json")):
        code, written, _ = call(*words)
        assert code == 0, written
        assert harmless(written)


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
def test_errors(call, tmp_path, debug):
    (tmp_path / "a.csv").write_text(f"value\n1\n2\n3\n{CLEAR}{UP}\n")
    for words in (("info", f"{TITLE}.csv"), ("fit", "forecast", "a.csv", "--target", "value", "-o", f"{UP}.gatewise")):
        code, written, _ = call(*debug, *words)
        assert code == 2
        assert harmless(written), written
        assert ("Traceback" in written) == bool(debug)


def test_help_keeps_its_colours(call):
    code, written, _ = call("sample", "--help")
    assert code == 0
    assert re.search(r"\x1b\[[0-9;]*m", written)
