"""Streams of every task over a WebSocket: the answers of a stream in this process."""

import numpy as np
import pandas as pd
import pytest
from serving import client_of
from test_scoring import forecaster, table, transcriber

import gatewise
from gatewise.bundle import plain


def reader():
    rows = pd.DataFrame({"text": ["a good film", "a bad plot"] * 30, "label": ["up", "down"] * 30})
    sizes = {"hidden_size": 4, "epochs": 1, "threads": 1}
    return gatewise.Classifier(**sizes, bidirectional=False, share=1.0).fit(rows)


def rows_of_a_pump():
    rows = table(keys=["b"], steps=20)
    steps = [{**row, "at": row["at"].isoformat()} for row in rows.drop(columns="pump").to_dict("records")]
    return [*steps[:3], {name: [step[name] for step in steps[3:]] for name in steps[0]}]


SIGNAL = (np.repeat(np.eye(2)[[0, 1, 0]], 4, axis=0) + 0.1).round(3).tolist()
MODELS = {
    "forecast": (forecaster, rows_of_a_pump()),
    "classify": (reader, ["a go", "od film, a bad", " plot"]),
    "transcribe": (transcriber, [SIGNAL[:5], SIGNAL[5:6], SIGNAL[6:]]),
}


@pytest.mark.parametrize("task", MODELS)
def test_a_websocket_answers_as_a_stream_does(task, tmp_path):
    make, pieces = MODELS[task]
    make().save(tmp_path / "model.gatewise")
    streams = gatewise.load(tmp_path / "model.gatewise").streams()
    stream = streams.open()
    url = "ws://localhost/v1/models/model/stream"
    with client_of([tmp_path / "model.gatewise"]) as client, client.websocket_connect(url) as socket:
        assert socket.receive_json()["model"]["task"] == task
        for piece in pieces:
            socket.send_json(piece)
            found = socket.receive_json()
            assert found["answer"] == plain(streams.push({stream: piece})[stream]), found
        socket.send_json({"finish": True})
        assert socket.receive_json()["answer"] == plain(streams.finish(stream))
