"""Damaged files for readers: each must be refused with an error of ours, soon, and in little memory."""

import json
import random
import subprocess
import sys

SCRIPT = """
import json, resource, signal, sys, traceback
from gatewise.errors import GatewiseError
from gatewise.interop.formats import Asked, chosen, format_of

used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("too long")))
for path in json.load(sys.stdin):
    signal.alarm(10)
    try:
        chosen(format_of(path)).read(path, Asked("tanh", "last", "relu"))
    except GatewiseError as error:
        if len(str(error).splitlines()) != 1:
            print(path, "says", repr(str(error)))
    except BaseException:
        print(path, traceback.format_exc())
    signal.alarm(0)
"""


def mutated(data: bytes, seed: int) -> bytes:
    """The same with a few bytes changed, left out or repeated, or without its end."""
    chance, found = random.Random(seed), bytearray(data)
    for _ in range(chance.choice((1, 2, 8, 40))):
        if len(found) < 2:
            break
        place = chance.randrange(len(found))
        end = place + chance.choice((1, 2, 4, 30))
        match chance.randrange(5):
            case 0:
                found[place] = chance.randrange(256)
            case 1:
                found[place:end] = chance.choice((b"\xff", b"\0", b"\x7f")) * (end - place)
            case 2:
                del found[place:end]
            case 3:
                found[place:place] = found[place:end]
            case 4 if chance.random() < 0.2:
                del found[max(1, place) :]
    return bytes(found)


def complaints(folder, files, count):
    """What goes wrong when so many damaged ones of each of these files are read; "" if nothing does."""
    paths = []
    for file in files:
        data = file.read_bytes()
        for seed in range(count):
            path = folder / f"{seed}-{file.name}"
            path.write_bytes(mutated(data, seed))
            paths.append(str(path))
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=json.dumps(paths), capture_output=True, text=True)
    return done.stdout + done.stderr
