"""A real PostgreSQL server, which lives as long as the tests of a module."""

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
PLACES += [Path(found).parent for found in [shutil.which("initdb")] if found]
BINARIES = next((place for place in PLACES if (place / "initdb").exists()), None)


@contextmanager
def running(statements=""):
    """The URL of a server on which these statements of SQL were run."""
    if BINARIES is None:
        pytest.skip("no PostgreSQL server is installed here (initdb)")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root and not shutil.which("runuser"):
        pytest.skip("PostgreSQL does not run as root, and there is no runuser to be someone else")
    # A socket's path must be short, and the server's user must be able to reach it.
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/gatewise-postgres-XXXXXX"], text=True).strip())
    be = []
    if root:
        try:
            shutil.chown(folder, "postgres")
        except LookupError:
            shutil.rmtree(folder)
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        be = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(program, *arguments, **options):
        command = [*be, str(BINARIES / program), *arguments]
        return subprocess.run(
            command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, **options
        )

    data = str(folder / "data")
    try:
        call("initdb", "-D", data, "-U", "gatewise", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")
        settings = f"-F -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        call("pg_ctl", "-D", data, "-o", settings, "-l", str(folder / "log"), "-w", "start")
        try:
            url = f"postgresql://gatewise:secret@127.0.0.1:{port}/postgres"
            if statements:
                call("psql", "-q", "-v", "ON_ERROR_STOP=1", url, input=statements.encode())
            yield url
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
