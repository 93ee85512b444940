"""Live streams over HTTP and WebSocket."""

import base64
import json

import numpy as np
import pytest
from serving import MODELS, client_of, old_model
from starlette.websockets import WebSocketDisconnect

import gatewise
from gatewise.bundle import plain
from gatewise.decoding.ctc import log_softmax
from gatewise.runtime.language_model import LanguageModel

RHYME = "ws://localhost/v1/models/rhyme/stream"


@pytest.fixture(scope="module")
def client(model_file):
    with client_of([model_file]) as client:
        yield client


@pytest.fixture(scope="module")
def scores(model_file):
    """Of what follows a text, in a stream of its own."""
    model = LanguageModel.load(model_file)

    def after(text):
        streams = model.streams()
        return streams.push({streams.open(): text}).popitem()[1]

    return after


def best(scores):
    return sorted(log_softmax(scores).tolist(), reverse=True)[:10]


def said(answer):
    return list(answer["answer"]["next"].values())


def test_a_websocket_says_what_it_reads_and_answers_each_message(client, scores):
    with client.websocket_connect(RHYME) as socket:
        hello = socket.receive_json()
        assert hello["model"]["id"] == "rhyme"
        assert hello["model"]["unit"] == "text, or one of 24 tokens"
        assert hello["steps"] == 0
        socket.send_json("Peter")
        answer = socket.receive_json()
        assert answer["steps"] == 5
        assert said(answer) == best(scores("Peter"))
        socket.send_json({"steps": " P", "binary": True})
        np.testing.assert_array_equal(np.frombuffer(socket.receive_bytes(), "<f4"), scores("Peter P"))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("not JSON", "the message is not JSON"),
        ("7", "the steps of this model are text, not 7"),
        ("[1, 2]", "the steps of this model are text, not [1, 2]"),
        ('{"steps": "a", "more": 1}', "the steps of this model are text"),
        ("[" * 20_000, "the message is not JSON"),
        ('"日"', "'日'"),
        (json.dumps("a" * 10_001), "10,001 steps are more than the 10,000"),
        (b"1234", "the steps of this model are text"),
    ],
)
def test_a_bad_message_is_told_and_the_stream_goes_on(client, scores, message, told):
    with client.websocket_connect(RHYME) as socket:
        socket.receive_json()
        socket.send_json("Pe")
        socket.receive_json()
        (socket.send_bytes if isinstance(message, bytes) else socket.send_text)(message)
        error = socket.receive_json()["error"]["message"]
        assert told in error
        assert "\n" not in error
        socket.send_json("ter")
        answer = socket.receive_json()
        assert answer["steps"] == 5
        assert said(answer) == best(scores("Peter"))


def test_who_leaves_in_order_gives_the_session_back_and_who_vanishes_may_return(client):
    sessions = client.hall.models.find("rhyme").sessions
    with client.websocket_connect(RHYME) as socket:
        leaves = socket.receive_json()["session"]
    with client.websocket_connect(RHYME) as socket:
        vanishes = socket.receive_json()["session"]
        socket.send_json("Peter")
        socket.receive_json()
        with client.websocket_connect(f"{RHYME}?session={vanishes}") as other, pytest.raises(WebSocketDisconnect) as no:
            other.receive_json()
        assert "another connection uses this session" in no.value.reason
        socket.close(1001)
    with client.websocket_connect(f"{RHYME}?session={vanishes}") as socket:
        assert socket.receive_json()["steps"] == 5
    assert sessions.find(leaves) is None


def test_a_session_over_http(client, scores):
    opened = client.post("/v1/models/rhyme/sessions")
    assert opened.status_code == 201
    url = f"/v1/sessions/{opened.json()['session']}"
    pushed = client.post(f"{url}/push", json={"steps": "Peter"}).json()
    assert pushed["steps"] == 5
    assert "state" not in pushed
    branch = client.post(f"{url}/fork").json()
    assert branch["steps"] == 5
    assert client.post(f"{url}/reset").status_code == 204
    assert client.get(url).json()["steps"] == 0
    anew = client.post(f"{url}/push", json={"steps": "P"}).json()
    assert said(anew) == best(scores("P"))
    state = client.get(f"/v1/sessions/{branch['session']}/state").content
    assert client.put(f"{url}/state", content=state).status_code == 204
    there = client.post(f"{url}/push", json={"steps": " P"}).json()
    assert said(there) == best(scores("Peter P"))
    assert client.delete(url).status_code == 204
    gone = client.post(f"{url}/push", json={"steps": "a"})
    assert gone.status_code == 404
    assert "no such session" in gone.json()["error"]["message"]


def test_a_client_that_keeps_the_state_may_ask_any_server(model_file, scores):
    with client_of([model_file], state_key="k") as one, client_of([model_file], state_key="k") as other:
        state = None
        for text, server in (("Pe", one), ("te", other), ("r P", one)):
            body = {"steps": text} | ({} if state is None else {"state": state})
            answer = server.post("/v1/models/rhyme/push", json=body).json()
            state = answer["state"]
        assert said(answer) == best(scores("Peter P"))
        assert len(one.hall.models.find("rhyme").sessions) == 0
        resumed = one.post("/v1/models/rhyme/sessions", json={"state": state})
        assert resumed.status_code == 201


def test_a_forged_or_foreign_state_is_refused(client, model_file):
    with client_of([model_file], state_key="k") as signed:
        state = client.post("/v1/models/rhyme/push", json={"steps": "P"}).json()["state"]
        for server, given, told in (
            (signed, state, "not made by this server, or was changed"),
            (client, "no!", "not base64"),
            (client, base64.b64encode(b"abc").decode(), "these 3 bytes are not the state of a stream"),
            (client, other_model(), "the state is of another model"),
        ):
            before = len(server.hall.models.find("rhyme").sessions)
            answer = server.post("/v1/models/rhyme/push", json={"steps": "P", "state": given})
            assert answer.status_code == 400
            assert told in answer.json()["error"]["message"]
            assert len(server.hall.models.find("rhyme").sessions) == before


def other_model():
    streams = LanguageModel.load(MODELS / "generate_text.model").streams()
    return base64.b64encode(streams.snapshot(streams.open())).decode()


def test_sessions_and_responses_go_on_on_the_next_server(model_file, tmp_path, scores):
    with client_of([model_file], folder=tmp_path) as client:
        session = client.post("/v1/models/rhyme/sessions").json()["session"]
        client.post(f"/v1/sessions/{session}/push", json={"steps": "Peter"})
        body = {"model": "rhyme", "input": "A peck", "max_output_tokens": 3, "temperature": 0}
        response = client.post("/v1/responses", json=body).json()["id"]
        wanted = client.post("/v1/responses", json={**body, "input": " of", "previous_response_id": response}).json()
    assert [path.name for path in tmp_path.iterdir()] == ["rhyme.states"]
    assert (tmp_path / "rhyme.states").stat().st_mode & 0o777 == 0o600
    with client_of([model_file], folder=tmp_path) as client:
        pushed = client.post(f"/v1/sessions/{session}/push", json={"steps": " P"}).json()
        assert pushed["steps"] == 7
        assert said(pushed) == best(scores("Peter P"))
        found = client.post("/v1/responses", json={**body, "input": " of", "previous_response_id": response}).json()
        assert found["output"][0]["content"] == wanted["output"][0]["content"]


DRAWN = np.random.default_rng(3).normal(50, 4, (40, 2)).round(2)


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("detect_both", [DRAWN[:1].tolist(), DRAWN[1:30].tolist(), DRAWN[30].tolist(), DRAWN[31:].tolist()]),
        ("generate_numbers", [[0.9, 6.0, 0.0], [[0.8, 6.8, 0.0], [0.6, 7.4, 1.0]]]),
        ("tag_numbers", None),
    ],
)
def test_a_stream_of_numbers_is_what_it_is_in_python(name, pieces, tmp_path):
    path = old_model(name, tmp_path)
    streams = gatewise.load(path).streams()
    if pieces is None:
        pieces = [{channel: [0.5 * i, 1.5 - i] for channel in streams.channels} for i in range(5)]
    stream = streams.open()
    with client_of([path]) as client, client.websocket_connect(f"ws://localhost/v1/models/{name}/stream") as socket:
        hello = socket.receive_json()["model"]
        assert hello["channels"] == list(streams.channels)
        assert hello["unit"] == streams.unit
        session = client.post(f"/v1/models/{name}/sessions").json()["session"]
        for piece in pieces:
            wanted = streams.push({stream: piece})[stream]
            if name == "generate_numbers":
                wanted = {"next": wanted.draw(np.random.default_rng(0), 0.0)}
            socket.send_json({"steps": piece})
            assert socket.receive_json()["answer"] == plain(wanted)
            answer = client.post(f"/v1/sessions/{session}/push", json={"steps": piece})
            assert answer.json()["answer"] == plain(wanted)
        if isinstance(pieces[-1], list):
            socket.send_bytes(np.array(pieces[-1], "<f4").tobytes())
            assert socket.receive_json()["steps"] > 2


@pytest.mark.parametrize(
    ("piece", "told"),
    [
        ([[1.0, 2.0, 3.0]], "a step of this detector has 2 finite numbers"),
        ([[1.0, 10**400]], "a piece is a row of numbers"),
        ([[1.0, "x"]], "a step is a row of numbers"),
        ([[[]]], "a step of this detector has 2 finite numbers"),
        ({"x0": [1.0]}, "the step has no 'x1'"),
        ([], "the steps are a list, each a row of numbers"),
        (7, "the steps are a list"),
    ],
)
def test_numbers_that_are_no_piece_are_told(piece, told):
    with client_of([MODELS / "detect_both.model"]) as client:
        session = client.post("/v1/models/detect_both/sessions").json()["session"]
        answer = client.post(f"/v1/sessions/{session}/push", json={"steps": piece})
        assert answer.status_code == 400
        assert told in answer.json()["error"]["message"]
        assert client.get(f"/v1/sessions/{session}").json()["steps"] == 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("forecast_quantiles", "has to know open, deal ahead"),
        ("tag_entities", "depend on later steps"),
        ("translate_copying", "has to read its input whole"),
    ],
)
def test_what_cannot_stream_says_why(name, told, tmp_path):
    with client_of([old_model(name, tmp_path)]) as client:
        assert client.get(f"/v1/models/{name}").json()["streams"] is False
        answer = client.post(f"/v1/models/{name}/sessions")
        assert answer.status_code == 400
        assert told in answer.json()["error"]["message"]


def test_a_drawing_goes_on():
    with client_of([MODELS / "generate_numbers.model"]) as client:
        url = "/v1/models/generate_numbers/continue"
        steps = [[0.9, 6.0, 0.0], [0.8, 6.8, 0.0]]
        one = client.post(url, json={"steps": steps, "length": 5, "seed": 1}).json()
        again = client.post(url, json={"steps": steps, "length": 5, "seed": 1}).json()
        assert one == again
        assert 1 <= len(one["steps"]) <= 5
        assert len(one["steps"][0]) == 3
        assert len(client.post(url, json={"length": 3}).json()["steps"]) <= 3
        for body, told in (
            ({"steps": [[1.0]]}, "(T, 3) finite numbers"),
            ({"steps": [[1.0, 2.0, 0.0], [1.0]]}, "each step holds 3 numbers"),
            ({"length": 0}, "length must be a whole number"),
            ({"length": 20_000}, "20,000 steps are more than the 10,000"),
            ({"temperature": -1.0}, "temperature must be"),
        ):
            answer = client.post(url, json=body)
            assert answer.status_code in (400, 413)
            assert told in answer.json()["error"]["message"]
