"""`predict` over HTTP answers what it answers in Python, and shows nothing of the machine."""

import csv
import io
import json
import wave

import numpy as np
import pytest
from PIL import Image
from serving import MODELS, client_of, old_model

import gatewise
from gatewise.bundle import plain
from gatewise.data.tables.writing import write_lines

NAMES = ["detect_both", "forecast_quantiles", "tag_entities", "classify_sensors", "classify_text"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return {name: old_model(name, tmp_path_factory.mktemp("models")) for name in NAMES}


@pytest.fixture(scope="module")
def client(paths):
    with client_of(list(paths.values())) as client:
        yield client


def story(name):
    return json.loads((MODELS / f"{name}.json").read_text())


def rows_of(chunks):
    """Of JSON lines, as the command line writes them."""
    file = io.StringIO()
    write_lines(file, chunks)
    return [json.loads(line) for line in file.getvalue().splitlines()]


def as_csv(columns):
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue().encode()


def close(found, wanted):
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            if isinstance(value, float):
                assert one[name] == pytest.approx(value, rel=1e-6)
            else:
                assert one[name] == value


@pytest.mark.parametrize("kind", ["text/csv", "json"])
def test_a_forecast_of_a_table(client, paths, kind):
    table = next(data for data in story("forecast_quantiles")["data"] if "shop" in data)
    if kind == "json":
        answer = client.post("/v1/models/forecast_quantiles/predict", json={"columns": table})
    else:
        body = as_csv(table)
        answer = client.post("/v1/models/forecast_quantiles/predict", content=body, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "forecast_quantiles"
    wanted = rows_of(gatewise.load(paths["forecast_quantiles"]).predictions(table))
    close(answer.json()["predictions"], wanted)


def test_alarms_as_json_and_as_csv_and_events(client, paths):
    values = np.array(story("detect_both")["data"][0]["array"])
    detector = gatewise.load(paths["detect_both"])
    columns = {"x0": values[:, 0].tolist(), "x1": values[:, 1].tolist()}
    url = "/v1/models/detect_both/predict"
    wanted = rows_of(detector.predictions(values))
    close(client.post(url, json={"sequences": [values.tolist()]}).json()["predictions"], wanted)
    answer = client.post(url, content=as_csv(columns), headers={"content-type": "text/csv", "accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    found = list(csv.DictReader(io.StringIO(answer.text)))
    scores = [row["score"] for row in rows_of(detector.predictions(columns))]
    assert [float(row["score"]) for row in found] == pytest.approx(scores, rel=1e-6)
    events = client.post(url, params={"events": True}, json={"sequences": [values.tolist()]}).json()["predictions"]
    assert [row["description"] for row in events] == [
        row["description"] for row in rows_of(detector.predictions(values, events=True))
    ]


@pytest.mark.parametrize("name", ["tag_entities", "classify_text"])
def test_answers_to_texts(client, paths, name):
    texts = ["Bob lives in York", "Ann sat"]
    wanted = [plain(one.document) for one in gatewise.load(paths[name]).answers(texts)]
    answer = client.post(f"/v1/models/{name}/predict", json={"texts": texts})
    assert answer.json() == {"model": name, "predictions": wanted}


def test_classes_of_sequences(client, paths):
    sequences = story("classify_sensors")["data"][0]["array"]
    wanted = rows_of(gatewise.load(paths["classify_sensors"]).predictions([np.array(s) for s in sequences]))
    answer = client.post("/v1/models/classify_sensors/predict", json={"sequences": sequences})
    close(answer.json()["predictions"], wanted)


@pytest.mark.parametrize(
    ("name", "body", "kind", "message"),
    [
        ("detect_both", b"{", "application/json", "the body is not JSON"),
        ("detect_both", b"[1]", "application/json", 'the body must be {"texts"'),
        ("detect_both", b'{"texts": ["a"]}', "application/json", "reads no text"),
        ("detect_both", b'{"columns": {"x0": [1, 2]}}', "application/json", "x1"),
        ("detect_both", b'{"sequences": [[[1, "a"]]]}', "application/json", "each a list of as many numbers"),
        ("detect_both", b'{"sequences": [[[1], [1, 2]]]}', "application/json", "each a list of as many numbers"),
        ("detect_both", b'{"sequences": [[[1, 2, 3]]]}', "application/json", ""),
        ("detect_both", b'{"columns": {"x0": 3, "x1": 4}}', "application/json", "a column is a list"),
        ("detect_both", b'{"columns": {"x0": [1%s], "x1": [2]}}' % (b"0" * 400), "application/json", ""),
        ("detect_both", b'{"sequences": [[[1%s, 2]]]}' % (b"0" * 400), "application/json", ""),
        ("tag_entities", b'{"sequences": [[1, 2, 3]]}', "application/json", "each a list of as many numbers"),
        ("detect_both", b"\x89PNG", "image/png", "data.png"),
        ("detect_both", b"", "text/csv", "data.csv"),
        ("detect_both", b"\x00\xff\x00", "text/csv", "data.csv"),
        ("detect_both", b"a,b\n1,2\n", "text/csv", "data.csv"),
        ("detect_both", b"PAR1 no", "application/vnd.apache.parquet", "data.parquet"),
        ("forecast_quantiles", b"a,b\n1,2\n", "text/csv", "data.csv"),
        ("tag_entities", b'{"texts": [1]}', "application/json", "the body must be"),
        ("classify_text", b"PK\x03\x04", "application/zip", "cannot be read. Send text/csv"),
    ],
)
def test_what_cannot_be_read_is_told_in_our_words_without_a_path(client, name, body, kind, message):
    answer = client.post(f"/v1/models/{name}/predict", content=body, headers={"content-type": kind})
    told = answer.json()["error"]["message"]
    assert answer.status_code in (400, 415), told
    assert message in told
    assert "\n" not in told
    assert "/tmp" not in told
    assert "gatewise-serve" not in told
    assert "Traceback" not in told


def test_images_become_texts_and_captions_and_texts_translations(tmp_path):
    names = ["transcribe_lines", "caption_images", "translate_characters"]
    paths = [old_model(name, tmp_path) for name in names]
    values = np.random.default_rng(0).integers(0, 256, (12, 40)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "data.png")
    with client_of(paths) as client:
        for name, path in zip(names[:2], paths, strict=False):
            kind = {"content-type": "image/png"}
            answer = client.post(
                f"/v1/models/{name}/predict", content=(tmp_path / "data.png").read_bytes(), headers=kind
            )
            close(answer.json()["predictions"], rows_of(gatewise.load(path).predictions(str(tmp_path / "data.png"))))
            table = {"columns": {"file": ["/etc/passwd"], "image": ["/etc/passwd"]}}
            refused = client.post(f"/v1/models/{name}/predict", json=table)
            assert refused.status_code == 400
            assert "takes one file as the body" in refused.json()["error"]["message"]
        found = client.post("/v1/models/translate_characters/predict", json={"texts": ["abc"]}).json()["predictions"]
        assert found == [plain(one.document) for one in gatewise.load(paths[2]).answers(["abc"])]


def test_a_text_is_never_taken_for_a_path(client, tmp_path):
    (tmp_path / "secret.csv").write_text("x0,x1\n1,2\n")
    path = str(tmp_path / "secret.csv")
    for body in ({"texts": [path]}, {"rows": [{"x0": path, "x1": path}]}, {"columns": {"x0": path, "x1": path}}, path):
        answer = client.post("/v1/models/detect_both/predict", json=body)
        assert answer.status_code == 400, body
    found = client.post("/v1/models/classify_text/predict", json={"texts": [path]}).json()["predictions"][0]
    assert found["text"] == path


def test_nothing_is_left_in_the_folder_of_temporary_files(client, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kind = {"content-type": "text/csv"}
    for body in (b"x0,x1\n1,2\n3,4\n", b"a\n"):
        client.post("/v1/models/detect_both/predict", content=body, headers=kind)
    assert list(tmp_path.iterdir()) == []


def test_options_that_a_task_lacks_are_refused(client):
    answer = client.post("/v1/models/tag_entities/predict?events=true", json={"texts": ["a"]})
    assert (answer.status_code, "knows no events" in answer.text) == (400, True)
    answer = client.post("/v1/models/tag_entity/predict", json={"texts": ["a"]})
    assert answer.status_code == 404
    assert "no model named 'tag_entity'. Did you mean 'tag_entities'?" in answer.json()["error"]["message"]


def tone(path, pitch):
    """Half a second, which begins as low or as high as its pitch says."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((9000 * np.sin(np.arange(4000) * pitch)).astype("<i2").tobytes())


def test_a_sound_becomes_a_text_and_a_class(tmp_path):
    heard, sorted_by = tmp_path / "heard", tmp_path / "sorted"
    for number in range(12):
        word, pitch = (("low", 0.1), ("high", 0.3))[number % 2]
        for folder in (heard, sorted_by / word):
            folder.mkdir(parents=True, exist_ok=True)
            tone(folder / f"{number}.wav", pitch)
        (heard / f"{number}.txt").write_text(word)
    brief = {"epochs": 1, "hidden_size": 8, "seed": 1}
    gatewise.Transcriber(**brief).fit(heard, output=tmp_path / "ears")
    gatewise.Classifier(**brief).fit(sorted_by, output=tmp_path / "pitch")
    sound = heard / "0.wav"
    with client_of([tmp_path / "ears", tmp_path / "pitch"]) as client:
        for name in ("ears", "pitch"):
            kind = {"content-type": "audio/wav"}
            answer = client.post(f"/v1/models/{name}/predict", content=sound.read_bytes(), headers=kind)
            [found], [wanted] = (
                answer.json()["predictions"],
                rows_of(gatewise.load(tmp_path / name).predictions(str(sound))),
            )
            close([found], [wanted | {"file": "data.wav"}])  # as the server calls what it was sent
        broken = client.post("/v1/models/ears/predict", content=b"RIFF", headers={"content-type": "audio/wav"})
        assert broken.status_code == 400
        assert "data.wav" in broken.json()["error"]["message"]
