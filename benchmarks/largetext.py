"""Is a text of 20 GB learned from by a process that may have 1.5 GB of memory, and how long does it take?

python -m benchmarks.largetext [GIGABYTES [FOLDER]]

The text is paragraphs of four books, in an order drawn anew for each time that all of them are written, so the figures
of quality say nothing: what is tested was learned. It is learned as characters, each a byte of the file of tokens. What
the process holds is looked at fifty times a second, and beyond the limit it is killed: its own memory, without the
files it maps, whose pages the system may take back whenever it wants. Needs twice the text's size on the disk of FOLDER
(by default, that of TMPDIR).
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gatewise import bundle
from gatewise.data.readers.long_text import LongText
from gatewise.tasks import Generator
from gatewise.tasks.generate.text.corpus import learn_vocabulary, split_text, text_of

from .largetable import LIMIT, limited
from .record import ROOT, write, write_table

DATA = ROOT.parent / "shared" / "data"
BOOKS = ("war_and_peace", "tinyshakespeare", "alice", "sonnets")
SHARES = (0.9995, 0.00005, 0.00045)  # of 20 GB, 1 MB validates, and more is held out for the test than is measured
STEPS, BATCH, CHUNK = 200, 32, 64


def paragraphs() -> list[bytes]:
    """Those of the books, each with the empty line behind it."""
    found = []
    for book in BOOKS:
        for path in sorted((DATA / book).glob("*.txt*")):
            raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            found += raw.replace(b"\r\n", b"\n").split(b"\n\n")
    return [one + b"\n\n" for one in found if one]


def generate(path: Path, gigabytes: float) -> None:
    """Write the text."""
    drawn, parts, left = random.Random(0), paragraphs(), round(gigabytes * 1e9)
    with open(path, "wb") as file:
        while left > 0:
            drawn.shuffle(parts)
            block = b"".join(parts)
            file.write(block)
            left -= len(block)


def read(state: dict[str, Any]) -> dict[str, Any]:
    """The text, counted, and with its fingerprint."""
    state["text"] = text = text_of(state["path"], "utf-8")
    return {"characters": len(text), "kinds": len(text.characters)}


def tokens(state: dict[str, Any]) -> dict[str, Any]:
    """Its tokens, and whether they are what encoding stretches of the text by themselves gives."""
    text: LongText = state["text"]
    vocabulary, path = learn_vocabulary(text, "characters", SHARES), bundle.tokens_of(state["model"])
    state["ids"] = ids = split_text(text, SHARES, vocabulary, kept=path).ids["train"]
    for start in np.random.default_rng(0).integers(0, len(ids) - 10_000, 20).tolist():
        wanted = vocabulary.encode(text[start : start + 10_000].read())
        np.testing.assert_array_equal(ids[start : start + 10_000], wanted)
    return {"tokens": len(ids), "kept_in_a_file": isinstance(ids, np.memmap), "file_bytes": path.stat().st_size}


def fit(state: dict[str, Any]) -> dict[str, Any]:
    """A model that learns for some steps from rows all over the text, and is measured. The text was counted by now, as
    `gatewise fit` does once, and its tokens are there."""
    epochs = STEPS * BATCH * CHUNK / len(state.pop("ids"))
    model = Generator(
        split=SHARES, hidden_size=64, batch_size=BATCH, chunk_length=CHUNK, epochs=epochs, learning_rate=0.01, threads=1
    ).fit(state["text"], output=state["model"])
    test, plain = model.metrics_["test"], model.metrics_["baselines"]
    return {
        "steps": model.outcome_.step,
        "test": {name: test[name] for name in ("bits_per_character", "tokens", "characters")},
        "plain": {name: own["bits_per_character"] for name, own in plain.items()},
        "seconds_of_steps_and_validations": round(model.outcome_.seconds, 1),
        "tokens_deleted_at_the_end": not bundle.tokens_of(state["model"]).exists(),
    }


STAGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"read": read, "tokens": tokens, "fit": fit}


def child(path: str) -> None:
    """Run the stages and print what they took."""
    state: dict[str, Any] = {"path": path, "model": f"{path}.gatewise"}
    for name, stage in STAGES.items():
        start, busy = time.perf_counter(), time.process_time()
        answer = stage(state)
        answer["seconds"] = round(time.perf_counter() - start, 1)
        answer["cpu_seconds"] = round(time.process_time() - busy, 1)
        print(json.dumps({name: answer}), flush=True)


def main(gigabytes: float, within: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="gatewise-large-", dir=within) as folder:
        path = Path(folder) / "large.txt"
        start = time.perf_counter()
        generate(path, gigabytes)
        answer: dict[str, Any] = {
            "text_gigabytes": round(path.stat().st_size / 1e9, 2),
            "seconds_to_write_it": round(time.perf_counter() - start, 1),
            "limit_gigabytes": LIMIT / 1e9,
        }
        print(answer, flush=True)
        command = [sys.executable, "-P", "-m", "benchmarks.largetext", "--child", str(path)]
        for line, most in limited(command, folder):
            for name, stage in json.loads(line).items():
                speed = {"megabytes_per_second": round(gigabytes * 1e3 / stage["seconds"])} if name != "fit" else {}
                answer[name] = {**stage, **speed, "most_megabytes_held": round(most / 1e6)}
                print(answer[name], flush=True)
    question = __doc__.partition("\n")[0].replace("20 GB", f"{gigabytes:g} GB")
    write("largetext" + (f"-{gigabytes:g}" if gigabytes != 20 else ""), question, answer)
    write_table("docs/scale.md", "largetext", table(answer))


def table(answer: dict[str, Any]) -> str:
    """What each stage took, as Markdown."""
    whats = {
        "read": "the text read once: counted, characters, fingerprint",
        "tokens": "its tokens written",
        "fit": f"`fit` of {STEPS} steps then: plain methods, steps, 20 validations, the test",
    }
    of = f"of {answer['text_gigabytes']:g} GB, {answer['tokens']['tokens']:,} tokens to learn from"
    lines = [f"| {of} | seconds | of which computing | MB/s | most MB held |", "| --- | --- | --- | --- | --- |"]
    for name, what in whats.items():
        own = answer[name]
        speed = own.get("megabytes_per_second", "")
        figures = (own["seconds"], own["cpu_seconds"], speed, own["most_megabytes_held"])
        lines.append(f"| {what} | {' | '.join(map(str, figures))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2])
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 20, sys.argv[2] if sys.argv[2:] else None)
