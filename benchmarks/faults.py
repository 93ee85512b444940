"""What does each process of a training do when one dies, or a link is cut, and what is on disk then?

    python -m benchmarks.faults [FAULT ...]

A small text is learned by two processes of one `torchrun`, or by one of each of two, which are in network namespaces of
their own (so this needs root, and iproute2). The clock that is fast is Python's, not the system's.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from .record import measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
FAST_CLOCK = "import time\n_usual = time.time\ntime.time = lambda: _usual() + 3600\n"
NODES = {"gw-node-a": "10.77.23.1", "gw-node-b": "10.77.23.2"}
LINK = "gw-veth"  # and the letter of the node
_OPTIONS = ("--hidden-size", "24", "--learning-rate", "0.01", "--quiet")
_TRAINING = r'"step": \d'  # in the history: the first validation is behind


class Launched:
    """One `torchrun`, or a process that was started by hand, in a folder of its own.

    Args:
        folder: Where it runs; its output goes to a file there.
        command: What it runs.
        node: The network namespace, which then is also the name of its host; this machine's own if empty.
        environment: More of it.
    """

    def __init__(self, folder: Path, command: Sequence[str], node: str = "", **environment: str):
        hosts = folder / "log-hosts"  # torchrun looks its machine's own name up
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in NODES.items()))
        names = f'mount --bind {hosts} /etc/hosts && hostname {node} && exec "$@"'
        inside = ["ip", "netns", "exec", node, "unshare", "--uts", "sh", "-c", names, "sh"]
        self.log = folder / f"log-{node or len([*folder.glob('log-*')])}"
        own = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            **environment,
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*(inside if node else []), *command],
                cwd=folder,
                env=own,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def rank(self, number: int) -> int:
        """The process of a rank."""
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError):
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.pid and f"RANK={number}".encode() in (path / "environ").read_bytes().split(b"\0"):
                    return int(path.name)
        raise LookupError(f"rank {number} is not there:\n{self.log.read_text()}")

    @property
    def ranks(self) -> list[int]:
        """Its processes that train."""
        found = []
        for number in range(2):
            with suppress(LookupError):
                found.append(self.rank(number))
        return found

    def wait(self, seconds: float = 300) -> int:
        """Its exit code."""
        return self._process.wait(seconds)

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    @property
    def said(self) -> list[str]:
        """Its lines that are ours, of what went wrong."""
        return [line for line in self.log.read_text().splitlines() if line.startswith("gatewise: ")]

    def kill(self) -> None:
        """It and its ranks, at once."""
        for pid in (self.pid, *self.ranks):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def torchrun(*options: str, words: Sequence[str] = (), script: Sequence[str] = ("-m", "gatewise")) -> list[str]:
    """The command that trains on the text in `a.txt`; torchrun's options, then ours."""
    fit = ["fit", "generate", "a.txt", "-o", "m.gatewise", *_OPTIONS, *words]
    return [sys.executable, "-m", "torch.distributed.run", *options, *script, *fit]


def one_box(*options: str, **more: Any) -> list[str]:
    return torchrun("--standalone", "--nproc-per-node", "2", *options, **more)


def text(folder: Path, lines: int = 600) -> None:
    """Write `a.txt`."""
    draw = random.Random(1)
    words = ["the", "a", "cat", "dog", "runs", "sleeps", "near", "far", "green", "house", "tree", "and", "then"]
    (folder / "a.txt").write_text("\n".join(" ".join(draw.choices(words, k=8)) for _ in range(lines)))


def until(found: Callable[[], Any], seconds: float = 240) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def trains(folder: Path, *launched: Launched) -> None:
    """Wait until a training is in the middle."""
    history = folder / "m.gatewise.metrics.jsonl"
    until(
        lambda: (
            (history.exists() and re.search(_TRAINING, history.read_text())) or not all(own.runs for own in launched)
        )
    )
    if not all(own.runs for own in launched):
        raise RuntimeError("\n".join(own.log.read_text() for own in launched))


def losses(folder: Path) -> list[dict[str, Any]]:
    """The history, without times."""
    lines = (folder / "m.gatewise.metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "seconds"} for line in lines]


@contextmanager
def two_boxes() -> Iterator[None]:
    """Inside, two network namespaces are joined by a link, each with its own address."""
    ends = dict(zip(NODES, (f"{LINK}-a", f"{LINK}-b"), strict=True))
    _remove()
    try:
        for node in NODES:
            _ip("netns", "add", node)
        first, second = NODES
        _ip("link", "add", ends[first], "netns", first, "type", "veth", "peer", "name", ends[second], "netns", second)
        for node, address in NODES.items():
            _ip("-n", node, "address", "add", f"{address}/24", "dev", ends[node])
            _ip("-n", node, "link", "set", "lo", "up")
            _ip("-n", node, "link", "set", ends[node], "up")
        yield
    finally:
        _remove()


def link(state: str) -> None:
    """Cut the link between the two ("down"), or mend it ("up")."""
    _ip("-n", next(iter(NODES)), "link", "set", f"{LINK}-a", state)


def on_both(folder: Path, *options: str, words: Sequence[str] = (), **fast: str) -> list[Launched]:
    """A `torchrun` in each.

    Args:
        fast: Environment of the second one.
    """
    first = next(iter(NODES.values()))
    found = []
    for place, (node, address) in enumerate(NODES.items()):
        how = ["--nnodes", "2", "--nproc-per-node", "1", "--local-addr", address]
        if "--master-addr" in options:
            how += ["--node-rank", str(place)]
        else:
            how += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{first}:29400", "--rdzv-id", "1"]
            how += ["--rdzv-conf", "read_timeout=10"]  # seconds; by default it waits for longer yet
        end = f"{LINK}-{'ab'[place]}"
        more = fast if place else {}
        found.append(Launched(folder, torchrun(*how, *options, words=words), node, GLOO_SOCKET_IFNAME=end, **more))
    return found


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _remove() -> None:
    for node in NODES:
        subprocess.run(["ip", "netns", "delete", node], stderr=subprocess.DEVNULL, check=False)


# The faults. Each is given a folder, and says what became of it.

_PATIENCE = 150  # seconds that a `torchrun` is given to end once its ranks have
LONG, SHORT = ("--epochs", "200"), ("--epochs", "12")


def _ended(since: float, folder: Path, *launched: Launched, ranks: Sequence[Sequence[int]] = ()) -> dict[str, Any]:
    """What each side did, how long after a fault, and what it left.

    Args:
        ranks: Processes of each side that train, if `torchrun` may take longer to end than they.
    """
    ended: list[float | None] = []
    for own in ranks:
        until(lambda own=own: not any(map(_lives, own)), 600)
        ended.append(round(time.monotonic() - since, 1))
    sides = []
    for own, gone in zip(launched, ended or [None] * len(launched), strict=True):
        try:
            code: int | None = own.wait(_PATIENCE if ranks else 600)
        except subprocess.TimeoutExpired:
            code = None
        sides.append({"ranks": gone, "seconds": round(time.monotonic() - since, 1), "code": code, "said": own.said})
    kept = sorted(path.name for path in folder.iterdir() if path.name != "a.txt" and not path.name.startswith("log-"))
    return {"sides": sides, "disk": kept}


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _hit(folder: Path, fault: Callable[[Launched], None], *options: str, words: Sequence[str] = LONG) -> dict[str, Any]:
    own = Launched(folder, one_box(*options, words=words))
    trains(folder, own)
    ranks = own.ranks
    since = time.monotonic()
    fault(own)
    return _ended(since, folder, own, ranks=[ranks])


def _killed(number: int) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: _hit(folder, lambda own: os.kill(own.rank(number), signal.SIGKILL))


@cache
def _undisturbed() -> list[dict[str, Any]]:
    """The history of one box that nothing happened to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text(folder)
        assert Launched(folder, one_box(words=SHORT)).wait() == 0
        return losses(folder)


def _same(folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "same bits": losses(folder) == _undisturbed()}


def _restarted(folder: Path) -> dict[str, Any]:
    found = _hit(folder, lambda own: os.kill(own.rank(1), signal.SIGKILL), "--max-restarts", "1", words=SHORT)
    return _same(folder, found)


def _measuring(folder: Path) -> dict[str, Any]:
    own = Launched(folder, one_box(words=("--epochs", "2")))
    until(lambda: (folder / "m.gatewise").exists())
    ranks, since = own.ranks, time.monotonic()
    os.kill(own.rank(1), signal.SIGKILL)
    return _ended(since, folder, own, ranks=[ranks])


def _stopped(folder: Path) -> dict[str, Any]:
    return _hit(folder, lambda own: os.kill(own.pid, signal.SIGTERM))


def _stopped_twice(folder: Path) -> dict[str, Any]:
    def twice(own: Launched) -> None:
        os.kill(own.pid, signal.SIGINT)
        time.sleep(0.3)
        with suppress(ProcessLookupError):
            os.kill(own.pid, signal.SIGINT)

    return _hit(folder, twice)


def _raised(folder: Path) -> dict[str, Any]:
    """An exception of one rank, at step 40."""
    (folder / "script.py").write_text(
        "import os, sys\nfrom gatewise.cli import main\nfrom gatewise.training.run import Run\n"
        "usual = Run.before_step\n"
        "def broken(run):\n"
        "    if os.environ['RANK'] == '1' and run.counters.step == 40:\n        raise ZeroDivisionError('made')\n"
        "    usual(run)\n"
        "Run.before_step = broken\nsys.exit(main())\n"
    )
    own = Launched(folder, one_box(words=LONG, script=("script.py",)))
    until(lambda: "ZeroDivisionError" in own.log.read_text())
    found = _ended(time.monotonic(), folder, own, ranks=[own.ranks])
    (folder / "script.py").unlink()
    found["disk"].remove("script.py")
    return found


def _suspended(folder: Path) -> dict[str, Any]:
    own = Launched(folder, one_box(words=SHORT))
    trains(folder, own)
    pid = own.rank(1)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(40)
    os.kill(pid, signal.SIGCONT)
    return _same(folder, _ended(time.monotonic(), folder, own))


def _by_hand(folder: Path, rank: int, port: int, *words: str, **more: str) -> Launched:
    own = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **more}
    fit = ["fit", "generate", "a.txt", "-o", "m.gatewise", *_OPTIONS, *words]
    return Launched(folder, [sys.executable, "-m", "gatewise", *fit], **own)


def _options(folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    pair = [_by_hand(folder, rank, 29517, "--epochs", "2", "--batch-size", str(4 + rank)) for rank in range(2)]
    return _ended(began, folder, *pair)


def _alone(folder: Path) -> dict[str, Any]:
    """The other process was never started."""
    began = time.monotonic()
    return _ended(began, folder, _by_hand(folder, 1, 29518, *SHORT))


def _both(disturb: Callable[[list[Launched]], None], *options: str, words: Sequence[str] = LONG, **fast: str) -> Any:
    def run(folder: Path) -> dict[str, Any]:
        with ExitStack() as stack:
            stack.enter_context(two_boxes())
            pair = on_both(folder, *options, words=words, **fast)
            for own in pair:
                stack.callback(own.kill)
            trains(folder, *pair)
            ranks, since = [own.ranks for own in pair], time.monotonic()
            disturb(pair)
            found = _ended(since, folder, *pair, ranks=ranks)
        return _same(folder, found) if words == SHORT else found

    return run


def _cut_short(pair: list[Launched]) -> None:
    link("down")
    time.sleep(5)
    link("up")


def fast_clock(folder: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is an hour fast."""
    (folder / "log-clock").mkdir()
    (folder / "log-clock" / "sitecustomize.py").write_text(FAST_CLOCK)
    return {"PYTHONPATH": os.pathsep.join([str(folder / "log-clock"), *filter(None, sys.path)])}


def _fast(folder: Path) -> dict[str, Any]:
    where = ("--master-addr", next(iter(NODES.values())), "--master-port", "29401")
    return _both(lambda pair: None, *where, words=SHORT, **fast_clock(folder))(folder)


FAULTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "rank 1 is killed in training": _killed(1),
    "rank 0 is killed in training": _killed(0),
    "rank 1 is killed while measuring": _measuring,
    "rank 1 is killed, --max-restarts 1": _restarted,
    "rank 1 raises an exception": _raised,
    "rank 1 is suspended for 40 s": _suspended,
    "SIGTERM to torchrun": _stopped,
    "Ctrl-C twice": _stopped_twice,
    "other options on rank 1 (started by hand)": _options,
    "rank 0 never comes (started by hand)": _alone,
    "two machines: nothing happens": _both(lambda pair: None, words=SHORT),
    "two machines: the link is cut for 5 s": _both(_cut_short, words=SHORT),
    "two machines: the link is cut for good": _both(lambda pair: link("down")),
    "two machines: one is killed, torchrun too": _both(lambda pair: pair[1].kill()),
    "two machines: the first is killed, torchrun too": _both(lambda pair: pair[0].kill()),
    "two machines: rank 1 is killed, --max-restarts 1": _both(
        lambda pair: os.kill(pair[1].rank(1), signal.SIGKILL), "--max-restarts", "1", words=SHORT
    ),
    "two machines: one clock is an hour fast": _fast,
}


def measure(fault: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        text(Path(name))
        found = FAULTS[fault](Path(name))
    print(json.dumps({fault: found}, indent=1), flush=True)
    return found


def _end(side: dict[str, Any]) -> str:
    """ "0.8; 5.9, 1"."""
    ended = side["seconds"] if side["ranks"] is None else side["ranks"]
    whole = f"{side['seconds']:g}, {side['code']}" if side["code"] is not None else f"waits after {side['seconds']:g}"
    return f"{ended:g}; {whole}"


def table(found: dict[str, Any]) -> str:
    head = ("fault", "seconds until the ranks of a side ended; torchrun, exit code", "what it said", "on disk")
    rows = [f"| {' | '.join(head)} |", "| --- | --- | --- | --- |"]
    for fault, own in found.items():
        ends = "<br>".join(map(_end, own["sides"]))
        said = (
            "<br>".join(line.removeprefix("gatewise: ") for side in own["sides"] for line in side["said"]) or "nothing"
        )
        disk = ", ".join(f"`{name}`" for name in own["disk"])
        same = {True: "; the bits of an undisturbed run", False: "; **other bits**", None: ""}[own.get("same bits")]
        rows.append(f"| {fault} | {ends} | {said} | {disk or 'nothing'}{same} |")
    return "\n".join(rows)


def main(wanted: Sequence[str]) -> None:
    found = measured_anew("faults", QUESTION, FAULTS, wanted, measure)
    write_table("docs/scale.md", "faults", table(found))


if __name__ == "__main__":
    main([fault for word in sys.argv[1:] for fault in FAULTS if word in fault])
