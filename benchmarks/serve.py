"""How long do 1,000 live streams wait for their answers on one server, and is any of them ever mixed up?

    python -m benchmarks.serve [calm] [full]

One server, and clients in a process of their own on the same cores. Each of the streams is a WebSocket that pushes a
piece of a text, awaits the answer, pauses, and goes on; after a random number of pieces it leaves, and another one
joins in its place. The pauses leave time (calm), or are so short that the cores do not (full). Every answer of every
stream is compared with what the same pieces give a stream that is alone, to the last bit.

A language model of one layer of 128 units, hardly trained (the bits do not care). The pieces are of 8 characters. Times
are from a client's call to its answer, so they hold what the clients' own process needs.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from websockets.asyncio.client import connect

from gatewise import Generator
from gatewise.runtime.language_model import LanguageModel

from .record import measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
TEXT = "The quick brown fox jumps over the lazy dog, and how vexingly quick daft zebras jump!\n" * 100
PIECE = 8  # characters
PAUSES = {"calm": 2.0, "full": 0.25}  # mean seconds of a stream between an answer and its next piece
STREAMS = 1000
SECONDS = 60.0
MOST_PIECES = 60  # of a stream, before it leaves


@contextmanager
def serving(model: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server of its own, and its process."""
    call = [sys.executable, "-m", "gatewise", "serve", str(model), "--port", "0"]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        yield process.stderr.readline().strip().replace("http", "ws"), process
    finally:
        process.terminate()
        process.wait()


async def measured(url: str, texts: list[str], seconds: float, pause: float, count: int) -> dict[str, Any]:
    """What the streams were answered, and how long that took."""
    end, draws = time.perf_counter() + seconds, random.Random(1)
    waits: list[float] = []
    heard: list[tuple[list[str], list[bytes]]] = []
    live = 0

    async def one() -> None:
        nonlocal live
        async with connect(url, compression=None, max_queue=4, open_timeout=60) as socket:
            await socket.recv()
            live += 1
            pieces, answers = [], []
            for _ in range(draws.randrange(1, MOST_PIECES)):
                if time.perf_counter() > end:
                    break
                await asyncio.sleep(draws.uniform(0, 2 * pause))
                piece = draws.choice(texts)
                began = time.perf_counter()
                await socket.send(json.dumps({"steps": piece, "binary": True}))
                answer = await socket.recv()
                if began > warm:
                    waits.append(time.perf_counter() - began)
                pieces.append(piece)
                answers.append(answer)
            live -= 1
        heard.append((pieces, answers))

    async def place(number: int) -> None:
        await asyncio.sleep(5 * number / count)  # they do not all come at once
        while time.perf_counter() < end:
            await one()

    warm, most = time.perf_counter() + 6, 0
    tasks = [asyncio.create_task(place(number)) for number in range(count)]
    while not all(task.done() for task in tasks):
        most = max(most, live)
        await asyncio.sleep(0.1)
    await asyncio.gather(*tasks)
    return {"waits": np.array(waits), "heard": heard, "most": most, "seconds": time.perf_counter() - warm}


def mixed_up(model: Path, heard: list[tuple[list[str], list[bytes]]]) -> int:
    """Streams of which an answer differs from that of a stream that is alone, in any bit."""
    streams, wrong = LanguageModel.load(model).streams(), 0
    for pieces, answers in heard:
        stream = streams.open()
        wrong += any(
            streams.push({stream: piece})[stream].astype("<f4").tobytes() != answer
            for piece, answer in zip(pieces, answers, strict=True)
        )
        streams.close(stream)
    return wrong


def measure(load: str) -> dict[str, Any]:
    """A minute with such pauses."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "text.gatewise"
        Generator(hidden_size=128, num_layers=1, epochs=1, seed=1).fit(io.StringIO(TEXT), output=model)
        draws = random.Random(2)
        texts = ["".join(draws.choice(TEXT) for _ in range(PIECE)) for _ in range(1000)]
        busy = os.getloadavg()[0]
        with serving(model) as (url, process):
            found = asyncio.run(measured(f"{url}/v1/models/text/stream", texts, SECONDS, PAUSES[load], STREAMS))
            memory = int(Path(f"/proc/{process.pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1000
            ticks = sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        wrong = mixed_up(model, found["heard"])
    milliseconds, pieces = 1000 * found["waits"], sum(len(one) for one, _ in found["heard"])
    return {
        "streams": {"live": STREAMS, "at most": found["most"], "in all": len(found["heard"]), "mixed up": wrong},
        "pieces a second": len(milliseconds) / found["seconds"],
        "characters a piece": PIECE,
        "milliseconds": {name: float(np.percentile(milliseconds, p)) for name, p in (("p50", 50), ("p99", 99))},
        "milliseconds of the server's processor for a piece": 1000 * ticks / os.sysconf("SC_CLK_TCK") / pieces,
        "memory of the server in MB": memory,
        "seconds": SECONDS,
        "mean pause in seconds": PAUSES[load],
        "load of the machine before and after": [busy, os.getloadavg()[0]],
    }


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def table(found: Mapping[str, Any]) -> str:
    """For the page."""
    lines = [
        "| pause, s | live streams | in all | mixed up | pieces a second | p50, ms | p99, ms "
        "| processor a piece, ms | memory, MB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found.values():
        streams, waits = one["streams"], one["milliseconds"]
        p50, p99 = (_shown(waits[name]) for name in ("p50", "p99"))
        spent, memory = one["milliseconds of the server's processor for a piece"], one["memory of the server in MB"]
        lines.append(
            f"| {one['mean pause in seconds']} | {streams['live']:,} | {streams['in all']:,} | {streams['mixed up']} "
            f"| {one['pieces a second']:,.0f} | {p50} | {p99} | {spent:.2f} | {memory:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    write_table("docs/serve.md", "serve", table(measured_anew("serve", QUESTION, PAUSES, sys.argv[1:], measure)))
