"""Who may ask, from where, and how much."""

import json

import pytest
from serving import client_of
from starlette.websockets import WebSocketDisconnect

ASK = {"model": "rhyme", "prompt": "Peter", "max_tokens": 2}


def told(answer):
    return answer.json()["error"]["message"]


def test_without_the_key_only_the_page_and_the_probes_answer(model_file):
    with client_of([model_file], api_key="s3cret") as client:
        for path in ("/", "/healthz", "/readyz"):
            assert client.get(path).status_code == 200
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "s3cret"}):
            for path in ("/v1/models", "/metrics", "/openapi.json", "/nowhere"):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "Send it as: Authorization: Bearer KEY" in told(answer)
                assert "s3cret" not in answer.text
            with (
                pytest.raises(WebSocketDisconnect),
                client.websocket_connect("ws://localhost/v1/models/rhyme/stream", headers=headers),
            ):
                pass
        right = {"authorization": "Bearer s3cret"}
        assert client.get("/v1/models", headers=right).json()["data"][0]["id"] == "rhyme"
        with client.websocket_connect("ws://localhost/v1/models/rhyme/stream", headers=right) as socket:
            assert socket.receive_json()["steps"] == 0


def test_pages_of_other_sites_are_refused(model_file):
    with client_of([model_file]) as client:
        for headers, status in (
            ({"origin": "http://localhost"}, 200),
            ({"origin": "http://evil.example"}, 403),
            ({"origin": "null"}, 403),
            ({"host": "evil.example"}, 421),
            ({"host": "localhost.evil.example:8000"}, 421),
            ({"host": "127.0.0.1:8000"}, 200),
            ({"host": "[::1]:8000"}, 200),
        ):
            assert client.post("/v1/completions", json=ASK, headers=headers).status_code == status, headers
        with pytest.raises(WebSocketDisconnect):
            client.websocket_connect(
                "ws://localhost/v1/models/rhyme/stream", headers={"origin": "http://evil.example"}
            ).__enter__()
    with client_of([model_file], local=False) as client:
        assert client.get("/v1/models", headers={"host": "models.example"}).status_code == 200


def test_a_long_body_is_refused_whether_its_length_is_said_or_not(model_file):
    with client_of([model_file], body=1000) as client:
        body = json.dumps({**ASK, "prompt": "a" * 2000}).encode()
        said = client.post("/v1/completions", content=body, headers={"content-type": "application/json"})
        unsaid = client.post("/v1/completions", content=iter([body[:900], body[900:]]))
        raw = client.post("/v1/models/rhyme/predict", content=iter([body[:900], body[900:]]))
        for answer in (said, unsaid):
            assert answer.status_code == 413
            assert answer.json()["error"]["code"] == "body"
            assert told(answer) == "the body is longer than the 1,000 bytes that this server takes"
        assert raw.status_code in (400, 413)
        counted = client.get("/metrics").text
        assert 'gatewise_refusals_total{limit="body"} 2.0' in counted


def test_what_is_not_json_or_not_an_option_is_told_on_one_line(model_file):
    with client_of([model_file]) as client:
        for body, message in (
            (b"{", "JSON decode error"),
            (b'{"prompt": "a"}', "model: Field required"),
            (b'{"model": "rhyme", "max_tokens": "many"}', "max_tokens: Input should be a valid integer"),
            (b'{"model": "rhyme", "max_token": 3}', "max_token: Extra inputs are not permitted"),
            (b'{"model": "rhyme", "max_tokens": 0}', "max_tokens must be a whole number, 1 or more, not 0"),
            (b'{"model": "rhyme", "temperature": -1}', "temperature must be"),
            (b'{"model": "rhyme", "top_p": 0}', "top_p must be"),
            (b'{"model": "rhyme", "seed": -1}', "seed must be"),
            (b'{"model": "rhyme", "n": 0}', "n must be a whole number"),
            (b'{"model": "rhyme", "suffix": "x"}', "suffix is not something that this server can do"),
            (b'{"model": "rhyme", "stop": ""}', "the stop string is empty"),
            (b'{"model": "rhyme", "logprobs": 21}', "logprobs must be a whole number"),
            ('{"model": "rhyme", "prompt": "日本"}'.encode(), "'日'"),
            (b'{"model": "rime"}', "Did you mean 'rhyme'?"),
        ):
            answer = client.post("/v1/completions", content=body, headers={"content-type": "application/json"})
            assert answer.status_code in (400, 404), body
            assert message in told(answer)
            assert "\n" not in told(answer)


def test_too_many_requests_and_sessions_are_refused(model_file):
    with client_of([model_file], sessions=2) as client:
        for _ in range(2):
            assert client.post("/v1/models/rhyme/sessions").status_code == 201
        answer = client.post("/v1/models/rhyme/sessions")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "sessions")
        assert client.post("/v1/completions", json=ASK).status_code == 503
        with client.websocket_connect("ws://localhost/v1/models/rhyme/stream") as socket:
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
            assert closed.value.code == 1013
            assert "all 2 sessions" in closed.value.reason
        client.hall.limits.__dict__["requests"] = 0
        assert client.get("/v1/models").json()["error"]["code"] == "requests"
        assert client.get("/healthz").status_code == 200


def test_a_bug_is_no_ones_business(model_file, monkeypatch):
    with client_of([model_file]) as client:
        monkeypatch.setattr(client.hall.models, "find", lambda name: 1 / 0)
        answer = client.get("/v1/models/rhyme")
        assert answer.status_code == 500
        assert told(answer) == "something went wrong on the server. Its log says what"


def test_metrics_count(model_file):
    with client_of([model_file]) as client:
        client.post("/v1/completions", json=ASK)
        session = client.post("/v1/models/rhyme/sessions").json()["session"]
        client.post(f"/v1/sessions/{session}/push", json={"steps": "Peter"})
        found = client.get("/metrics").text
        for line in (
            'gatewise_sessions{model="rhyme"} 1.0',
            'gatewise_steps_total{model="rhyme"} 12.0',  # the prompt, two tokens, and the piece
            'gatewise_requests_total{route="/v1/sessions/{id}/push",status="200"} 1.0',
            'gatewise_together_count{model="rhyme"} 4.0',
        ):
            assert line in found
        assert session not in found
