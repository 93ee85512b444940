"""A server of its own on loopback, and clients that behave badly."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest
from openai import NotFoundError, OpenAI
from serving import MODELS, Server
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gatewise.runtime.language_model import LanguageModel

TEXT = "Peter Piper picked a peck of pickled peppers.\n" * 4


@pytest.fixture(scope="module")
def server(model_file):
    """With small limits, of which a few are passed below."""
    limits = ["--body", 2_000_000, "--patience", 1, "--sessions", 100, "--idle", 60]
    with Server(model_file, *limits) as server:
        yield server


@pytest.fixture
def client(server):
    with httpx2.Client(base_url=server.url) as client:
        yield client


@pytest.fixture(scope="module")
def last_scores(model_file):
    streams = LanguageModel.load(model_file).streams()
    return streams.push({streams.open(): TEXT}).popitem()[1]


async def talk(server, text, size=7):
    """The last scores of a stream that was pushed a text in pieces."""
    async with connect(f"{server.sockets}/v1/models/rhyme/stream") as socket_:
        await socket_.recv()
        for start in range(0, len(text), size):
            await socket_.send(json.dumps({"steps": text[start : start + size], "binary": True}))
            answer = await socket_.recv()
    return np.frombuffer(answer, "<f4")


def others_are_served(server, last_scores):
    """Several at a time, in different pieces, to the last bit."""

    async def all_of_them():
        return await asyncio.gather(*(talk(server, TEXT, size) for size in (3, 11, 40)))

    for found in asyncio.run(all_of_them()):
        np.testing.assert_array_equal(found, last_scores)


def raw(server, data, room=None):
    """A connection on which these bytes were sent; of what comes back there is room for so many."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.socket()
    if room is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.connect((host, int(port)))
    connection.settimeout(20)
    connection.sendall(data)
    return connection


def test_the_client_of_openai_can_use_it(server, model_file):
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none")
    assert [model.id for model in client.models.list()] == ["rhyme"]
    body = {"model": "rhyme", "prompt": "Peter ", "max_tokens": 30, "temperature": 0, "logprobs": 2}
    whole = client.completions.create(**body)
    assert len(whole.choices[0].text) == 30
    assert len(whole.choices[0].logprobs.token_logprobs) == 30
    pieces = client.completions.create(**body, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == whole.choices[0].text
    with pytest.raises(NotFoundError, match="Did you mean 'rhyme'"):
        client.completions.create(model="rime", prompt="")
    one = client.responses.create(model="rhyme", input="Peter ", max_output_tokens=10, temperature=0)
    two = client.responses.create(
        model="rhyme", input="", previous_response_id=one.id, max_output_tokens=20, temperature=0
    )
    assert one.output_text + two.output_text == whole.choices[0].text
    with client.responses.stream(model="rhyme", input="Peter ", max_output_tokens=30, temperature=0) as stream:
        events = list(stream)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert events[-1].type == "response.incomplete"  # its length ended it
    assert events[-1].response.output_text == "".join(deltas) == whole.choices[0].text


def test_garbage_is_refused_and_others_are_served(server, last_scores):
    for garbage in (b"\x00\xff\x16\x03\x01" * 100, b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"BREW\r\n\r\n"):
        with raw(server, garbage) as connection:
            assert b"400" in connection.recv(1000)

    async def garbage():
        async with connect(f"{server.sockets}/v1/models/rhyme/stream") as socket_:
            await socket_.recv()
            for message in ("{", b"\x00" * 9, '{"steps": [[1e999]]}', '"\\ud800"'):
                await socket_.send(message)
                assert "error" in json.loads(await socket_.recv())

    asyncio.run(garbage())
    others_are_served(server, last_scores)


def test_a_gigabyte_is_refused_in_bounded_memory(server, client, last_scores):
    before = server.memory
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with raw(server, head + b"Content-Length: 1000000000\r\n\r\n") as connection:
        assert b"413" in connection.recv(1000)
    piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with raw(server, head + b"Transfer-Encoding: chunked\r\n\r\n") as connection:
        try:
            for _ in range(200):
                connection.sendall(piece)
        except OSError:
            pass

    async def message():
        async with connect(f"{server.sockets}/v1/models/rhyme/stream") as socket_:
            await socket_.recv()
            with pytest.raises(ConnectionClosed) as closed:  # while it sends or afterwards
                await asyncio.gather(socket_.send("a" * 50_000_000), socket_.recv())
            assert closed.value.rcvd.code == 1009

    asyncio.run(message())
    assert server.memory - before < 60
    others_are_served(server, last_scores)


def test_one_that_never_reads_is_cut(server, client, last_scores):
    before = server.memory
    sessions = re.search(r"gatewise_sessions{.*", client.get("/metrics").text)[0]
    body = json.dumps({"model": "rhyme", "prompt": "A", "max_tokens": 10000, "stream": True, "logprobs": 20}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    connections = [raw(server, head + b"%d\r\n\r\n" % len(body) + body, room=4096) for _ in range(3)]
    others_are_served(server, last_scores)
    deadline = time.monotonic() + 60
    while sessions not in client.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert server.memory - before < 60
    for connection in connections:
        connection.close()


def test_one_that_sends_nothing_is_cut(server):
    for begun in (b"", b"GET /heal", b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{"):
        with raw(server, begun) as connection:
            start = time.monotonic()
            answer = connection.recv(1000)
            assert time.monotonic() - start < 15
            assert answer == b"" or b"408" in answer


def test_one_that_vanishes_may_return(server, client, last_scores):
    async def vanish():
        socket_ = await connect(f"{server.sockets}/v1/models/rhyme/stream")
        hello = json.loads(await socket_.recv())
        await socket_.send(json.dumps(TEXT[:50]))
        await socket_.recv()
        socket_.transport.abort()
        return hello["session"]

    session = asyncio.run(vanish())
    deadline = time.monotonic() + 10
    found = {"message": "another connection"}
    while "another connection" in str(found):
        assert time.monotonic() < deadline

        async def go_on():
            async with connect(f"{server.sockets}/v1/models/rhyme/stream?session={session}") as socket_:
                try:
                    hello = json.loads(await socket_.recv())
                except ConnectionClosed as closed:
                    return closed
                assert hello["steps"] == 50
                await socket_.send(json.dumps({"steps": TEXT[50:], "binary": True}))
                return np.frombuffer(await socket_.recv(), "<f4")

        found = asyncio.run(go_on())
    np.testing.assert_array_equal(found, last_scores)


def test_sigterm_in_the_middle_loses_nothing(model_file, tmp_path, last_scores):
    """Streams are being pushed, idle, and just answered; each goes on where it was, to the last bit."""
    folder, clients = tmp_path / "states", 40

    async def until_the_end(server, number):
        async with connect(f"{server.sockets}/v1/models/rhyme/stream") as socket_:
            hello, read, size = json.loads(await socket_.recv()), 0, 1 + number % 5
            try:
                while number:
                    await socket_.send(json.dumps(TEXT[read : read + size] if read < 150 else ""))
                    read = json.loads(await socket_.recv())["steps"]
                    await asyncio.sleep(0.002 * (number % 7))
                await socket_.recv()  # one that only waits
            except ConnectionClosed as closed:
                return hello["session"], read, closed.rcvd.code

    async def go_on(server, session, read, code):
        assert code == 1012
        async with connect(f"{server.sockets}/v1/models/rhyme/stream?session={session}") as socket_:
            steps = json.loads(await socket_.recv())["steps"]
            assert steps == read  # what was read was answered
            await socket_.send(json.dumps({"steps": TEXT[steps:], "binary": True}))
            return np.frombuffer(await socket_.recv(), "<f4")

    async def first(server):
        talks = [asyncio.create_task(until_the_end(server, number)) for number in range(clients)]
        await asyncio.sleep(0.5)
        server.process.terminate()
        return await asyncio.gather(*talks)

    async def second(server, found):
        return await asyncio.gather(*(go_on(server, *one) for one in found))

    with Server(model_file, "--states", folder) as server:
        found = asyncio.run(first(server))
        assert server.process.wait(30) == 0
    with Server(model_file, "--states", folder) as server:
        assert f"{clients} states go on\n" in server.said
        for scores in asyncio.run(second(server, found)):
            np.testing.assert_array_equal(scores, last_scores)
        assert server.stop() == 0


def test_a_request_is_finished_and_no_new_one_begun(model_file):
    with Server(model_file) as server:
        body = {"model": "rhyme", "prompt": "A", "max_tokens": 10000, "stream": True}
        with (
            httpx2.Client(base_url=server.url, timeout=60) as client,
            client.stream("POST", "/v1/completions", json=body) as answer,
        ):
            lines = answer.iter_lines()
            next(lines)
            server.process.terminate()
            written = [line for line in lines if line.startswith("data: ")]
            assert written[-1] == "data: [DONE]"
            assert '"finish_reason": "length"' in written[-2]
        assert server.process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{port}"], "cannot listen on port {port} of '127.0.0.1': Address already in use. Name another: --port"),
        (["0", "--host", "no.such.host.invalid"], "cannot listen on port 0 of 'no.such.host.invalid'"),
        (["0", "--sessions", "0"], "--sessions must be a whole number, 1 or more, not 0"),
        (["0", "--states", "/proc/no"], "cannot keep states in '/proc/no'"),
    ],
)
def test_what_cannot_be_served_is_told_on_one_line(server, model_file, arguments, told):
    port = server.url.rpartition(":")[2]
    given = [argument.format(port=port) for argument in arguments]
    call = [sys.executable, "-m", "gatewise", "serve", str(model_file), "--port", *given]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"gatewise: {told.format(port=port)}")
    assert done.stderr.count("\n") == 1


def test_states_of_another_model_stop_the_start(model_file, tmp_path):
    folder = tmp_path / "states"
    with Server(model_file, "--states", folder) as server:
        assert server.stop() == 0
    other = tmp_path / "rhyme.gatewise"
    other.write_bytes((MODELS / "generate_text.model").read_bytes())
    call = [sys.executable, "-m", "gatewise", "serve", str(other), "--port", "0", "--states", str(folder)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "holds states of another model called 'rhyme'" in done.stderr


def test_a_server_needs_no_torch(server):
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "_native" in maps
    assert "libtorch" not in maps
