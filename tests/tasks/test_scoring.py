"""Rows of many sequences with states that somebody else keeps: the bits of one stream for each, read row by row."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

import gatewise
from gatewise.errors import DataError, ModelFileError, OptionError

SMALL = {"hidden_size": 8, "epochs": 1, "threads": 1, "batch_size": 4, "key": "pump", "time": "at"}
KEYS = ("007", "7", "b", "größer")


def table(keys=KEYS, steps=40, seed=0):
    """Rows of pumps in the order of time, of which each has rows of its own."""
    rng = np.random.default_rng(seed)
    rows = []
    for place, key in enumerate(keys):
        at = pd.date_range("2024-01-01", periods=steps, freq="h")
        flow = np.sin(np.arange(steps) / 3 + place) + 0.1 * rng.standard_normal(steps)
        mode = np.where(flow > 0, "on", "off")
        rows.append(
            pd.DataFrame({"pump": key, "at": at, "flow": flow, "heat": rng.standard_normal(steps), "mode": mode})
        )
    return pd.concat(rows).sort_values(["at", "pump"], ignore_index=True)


def detector():
    return gatewise.Detector(**SMALL, window=16, columns="flow,heat").fit(table(steps=150))


def tagger():
    options = {**SMALL, "bidirectional": False, "crf": False, "normalise": False, "share": 0.5}
    return gatewise.Tagger(**options, target="mode").fit(table(steps=60))


def forecaster():
    options = {"target": ("flow", "heat"), "past_covariates": ("mode",), "horizon": 3, "context_length": 12}
    return gatewise.Forecaster(**SMALL, **options, calendar=True, share=1.0).fit(table(steps=300))


def classifier():
    rows = table(keys=[f"{kind}{number}" for number in range(20) for kind in "ab"], steps=12)
    rows["kind"] = rows["pump"].str[0]
    return gatewise.Classifier(**SMALL, bidirectional=False, share=1.0, target="kind").fit(rows)


def transcriber():
    rng, rows = np.random.default_rng(1), []
    for number in range(20):
        letters = rng.integers(0, 2, rng.integers(1, 5))
        steps = np.repeat(np.eye(2)[letters], 4, axis=0) + 0.1 * rng.normal(size=(4 * len(letters), 2))
        text = "".join("ab"[letter] for letter in letters)
        at = pd.date_range("2024-01-01", periods=len(steps), freq="s")
        rows.append(
            pd.DataFrame({"pump": f"{number}", "at": at, "flow": steps[:, 0], "heat": steps[:, 1], "text": text})
        )
    options = {**SMALL, "epochs": 15, "learning_rate": 0.02, "num_layers": 1}
    return gatewise.Transcriber(**options, bidirectional=False, columns="flow,heat").fit(pd.concat(rows))


MODELS = {"detect": detector, "tag": tagger, "forecast": forecaster, "classify": classifier, "transcribe": transcriber}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


def loop(model, rows):
    """By key, the answers to each row of a stream of its own, and its state in the end."""
    streams = model.streams()
    channels = streams.channels or ("flow", "heat")
    found, states = {}, {}
    for key, own in rows.groupby("pump"):
        stream, found[key] = streams.open(), []
        for row in own.sort_values("at").to_dict("records"):
            values = [
                row[name] if isinstance(row[name], str | pd.Timestamp) else np.float32(row[name]) for name in channels
            ]
            if model.task == "transcribe":
                piece = np.array([values])
            else:
                piece = dict(zip(channels, map(str_of_time, values), strict=True))
            found[key].append(streams.push({stream: piece})[stream])
        states[key] = streams.snapshot(stream)
    return found, states


def str_of_time(value):
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def test_frames_cut_anyhow_give_the_bits_of_a_loop_over_rows(model):
    rows = table(steps=25, seed=5)
    answers, want = loop(model, rows)
    rng = np.random.default_rng(2)
    states, each = {}, []
    for start, stop in ((0, 1), (1, 7), (7, 60), (60, 61), (61, 100)):  # rows of a pump lie in some of them
        frame = rows[start:stop].sample(frac=1, random_state=rng.integers(99))
        before = dict(states)
        found, after = gatewise.score(model, frame, states)
        assert states == before
        states = after
        each.append(pd.DataFrame(found))
    assert states == want
    last = each[-1].groupby("pump")
    for key, own in answers.items():
        if model.task == "detect":
            got = pd.concat(each).query("pump == @key").sort_values("at")
            assert got["score"].tolist() == [float(answer["score"][0]) for answer in own]
            assert got["cause"].tolist() == [answer["cause"][0] for answer in own]
        elif model.task == "tag":
            got = pd.concat(each).query("pump == @key").sort_values("at")
            assert got["predicted"].tolist() == [answer[0] for answer in own]
        elif model.task == "forecast":
            got = last.get_group(key)
            for name, values in own[-1].items():
                assert got[name].tolist() == values.tolist()
        elif model.task == "classify":
            [got] = last.get_group(key).to_dict("records")
            assert got["kind"] == own[-1]["predicted"]
            assert got["probability"] == max(own[-1]["probabilities"].values())
        else:
            assert last.get_group(key)["text"].tolist() == [own[-1]]


@pytest.fixture(scope="module")
def pump(tmp_path_factory):
    """The file of a detector."""
    path = tmp_path_factory.mktemp("models") / "pump.gatewise"
    detector().save(path)
    return path


def test_answers_are_in_the_order_of_the_frame(pump):
    frame = table(steps=9, seed=3).sample(frac=1, random_state=1)
    found, _ = gatewise.score(pump, frame)
    assert found["pump"].tolist() == frame["pump"].tolist()
    assert found["at"].tolist() == frame["at"].tolist()


def test_any_table_and_a_pickled_model_answer_alike(pump):
    frame = table(steps=9, seed=3)
    want, states = gatewise.score(pump, frame)
    model = pickle.loads(pickle.dumps(gatewise.load(pump)))
    columns = {name: frame[name].tolist() for name in frame}
    for one in (pl.from_pandas(frame), columns, frame.to_dict("records")):
        found, after = gatewise.score(model, one)
        assert after == states
        assert {name: column.tolist() for name, column in found.items()} == {n: c.tolist() for n, c in want.items()}


def test_a_number_does_not_depend_on_the_rows_beside_it(pump):
    """A reader keeps a whole column in float64 where one number in it is large."""
    frame = table(steps=9, seed=3)
    large = frame.assign(flow=frame["flow"].where(frame["pump"] != "b", 1e9))
    _, states = gatewise.score(pump, frame)
    _, beside = gatewise.score(pump, large)
    assert {key for key in states if states[key] != beside[key]} == {"b"}


def test_a_key_of_several_columns_or_of_none(pump):
    frame = table(steps=9, seed=3)
    model = gatewise.load(pump)
    _, states = gatewise.score(model, frame)
    both, shared = gatewise.score(model.set_params(key="site,pump"), frame.assign(site=3))
    assert shared == {("3", key): state for key, state in states.items()}
    assert [*both][:3] == ["site", "pump", "at"]
    alone = frame[frame["pump"] == "b"].drop(columns="pump")
    found, state = gatewise.score(model.set_params(key=None), alone)
    assert state == {(): states["b"]}
    assert next(iter(found)) == "at"


def test_a_model_file_that_changed_is_read_anew(pump, tmp_path):
    path = tmp_path / "model.gatewise"
    path.write_bytes(pump.read_bytes())
    frame = table(steps=9, seed=3)
    _, states = gatewise.score(path, frame)
    gatewise.Detector(**{**SMALL, "hidden_size": 4}, window=16, columns="flow,heat").fit(table(steps=150)).save(path)
    with pytest.raises(ModelFileError, match="the state of '007' is of another model, or of another version of it"):
        gatewise.score(path, frame, states)


def test_what_cannot_be_scored_is_told(pump, model_file, tmp_path):
    frame = table(steps=9, seed=3)
    _, states = gatewise.score(pump, frame)
    for wrong in (b"", states["b"][:-1], "text", 3):
        with pytest.raises(DataError, match="what is given as the state of 'b' is none"):
            gatewise.score(pump, frame, {**states, "b": wrong})
    with pytest.raises(OptionError, match="'generate' continues what it reads"):
        gatewise.score(model_file, frame)
    with pytest.raises(DataError, match="heat"):
        gatewise.score(pump, frame.drop(columns="heat"))
    with pytest.raises(DataError, match="no rows"):
        gatewise.score(pump, frame[:0])
    with pytest.raises(ModelFileError, match="missing"):
        gatewise.score(tmp_path / "missing.gatewise", frame)
    rows = pd.DataFrame({"text": ["good", "bad"] * 20, "label": ["a", "b"] * 20})
    reader = gatewise.Classifier(hidden_size=4, epochs=1, threads=1, bidirectional=False, share=1.0).fit(rows)
    with pytest.raises(
        OptionError, match=r"2 sequences that no key tells apart. Name its column with model.set_params"
    ):
        gatewise.score(reader, rows[:2])
