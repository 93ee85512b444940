"""Servers for tests: an app in this process, or one of its own."""

import gzip
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from gatewise.serve.app import app_of
from gatewise.serve.hall import Hall
from gatewise.serve.kept import Responses
from gatewise.serve.limits import Limits
from gatewise.serve.metrics import Metrics
from gatewise.serve.models import Models
from gatewise.serve.sealing import Seal

MODELS = Path(__file__).parent / "tasks" / "models"


def old_model(name, folder):
    """A model file of `tests/tasks/models`."""
    packed, path = MODELS / f"{name}.model.gz", folder / f"{name}.model"
    path.write_bytes(gzip.decompress(packed.read_bytes()) if packed.exists() else (MODELS / path.name).read_bytes())
    return path


def hall_of(paths, *, api_key=None, state_key=None, local=True, **limits):
    """What a server of these model files shares."""
    bounds, metrics = Limits(**limits), Metrics()
    return Hall(
        models=Models(paths, bounds, metrics),
        limits=bounds,
        metrics=metrics,
        seal=Seal(state_key),
        responses=Responses(bounds),
        api_key=api_key,
        local=local,
    )


@contextmanager
def client_of(paths, *, folder=None, **options):
    """A client of an app in this process, with its hall as `hall`."""
    hall = hall_of(paths, **options)
    app = app_of(hall, folder)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        client.hall = hall
        yield client


class Server:
    """A server in a process of its own, at `url`; what it says is in `said`."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "gatewise", "serve", *map(str, arguments), "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = []
        self.url = None
        started = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(started,), daemon=True)
        self._thread.start()
        started.wait(60)
        assert self.url, "".join(self.said)

    def _listen(self, started):
        for line in self.process.stderr:
            self.said.append(line)
            if line.startswith("http://"):
                self.url = line.strip()
                started.set()
        started.set()

    @property
    def sockets(self):
        return self.url.replace("http://", "ws://")

    @property
    def memory(self):
        """Resident, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1000

    def stop(self):
        """The exit code after SIGTERM."""
        self.process.terminate()
        return self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._thread.join()
        self.process.stderr.close()
