"""`gatewise export` of classifiers, taggers of sentences and forecasters: what leaves answers as `predict` does."""

import ctypes
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from export_examples import COMPILER, needs_compiler, needs_node

from gatewise.cli import main
from gatewise.data.sequences import Column, Sequences, category_column
from gatewise.data.text.vectors import write_vectors
from gatewise.tasks.classify.baselines.plain import VECTORS
from gatewise.tasks.classify.estimator import Classifier
from gatewise.tasks.forecast.estimator import Forecaster
from gatewise.tasks.tag.estimator import Tagger

pytestmark = [needs_compiler, needs_node]

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
SERIES = {"hidden_size": 6, "epochs": 2, "key": "run", "ensemble": 2}
TEXTS = {"hidden_size": 6, "embedding_size": 8, "epochs": 2, "ensemble": 2}
WORDS = {"hidden_size": 6, "embedding_size": 8, "char_hidden_size": 4, "epochs": 2, "key": "run"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Files by name."""
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    waves = ["run,heat,load,kind,age,label,quick,third"]
    for run in range(36):
        t, kind = np.arange(16 + run % 3), run % 2
        heat = np.sin(t / (1 + kind) + rng.uniform(0, 6)) + 0.2 * rng.normal(size=len(t))
        load = np.exp(4 * rng.normal(size=len(t))) if run == 35 else rng.normal(size=len(t))
        seen = rng.random(len(t)) > 0.1
        label = f"{'fast' if not kind else 'slow'},{1 - kind},{run % 3 // 2}"
        waves += [
            f"{run},{f'{a:.3f}' if there else ''},{b:.3f},{'uvw'[k % 3]},{run / 9:.2f},{label}"
            for k, (a, b, there) in enumerate(zip(heat, load, seen, strict=True))
        ]
    good, bad = ["great", "lovely", "fine", "charming", "well-made"], ["awful", "dull", "boring", "poor", "tedious"]
    rest = [
        *["the", "a", "of", "to", ",", ".", "2,000", "Paris", "don't", "日本", "naïve"],
        *(f"w{k}x" for k in range(120)),
    ]
    texts, words = ["text,label"], ["run,word,label"]
    for run in range(120):
        kind = run % 2
        said = [(good if kind else bad)[rng.integers(5)] if rng.random() < 0.4 else rng.choice(rest) for _ in range(9)]
        texts.append(f'"{" ".join(said)}",{"good" if kind else "bad"}')
        for word in said:
            spans = ["B-X", "I-X"] if word in good and rng.random() < 0.5 else ["B-Y" if word in bad else "O"]
            words += [f'{run},"{word}",{label}' for label in spans]
    marks = ["run,sign,label"]
    for run in range(80):
        for word in rng.choice(["北京", "大学", *(chr(0x4E00 + k) + chr(0x5000 + k) for k in range(60))], 4):
            marks += [f"{run},{letter},{role}-W" for letter, role in zip(word, "BE", strict=True)]
    t = np.arange(240)
    heat, load = 20 + 5 * np.sin(t * np.pi / 6) + rng.normal(size=240), np.exp(3 + np.sin(t / 40) / 3)
    wave = ["heat,load", *(f"{a:.3f},{b:.3f}" for a, b in zip(heat, load, strict=True))]
    found = {"waves": waves, "texts": texts, "words": words, "signs": marks, "wave": wave}
    for name, lines in found.items():
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return {name: str(folder / f"{name}.csv") for name in found}


def exported(estimator, data, targets, folder, capsys, change=None):
    """What was written, after a proof: by target, and the model file."""
    model = folder / "model.gatewise"
    estimator.fit(data, output=model)
    if change is not None:
        own = type(estimator).load(model)
        change(own)
        own.save(model)
    found = {"model": model}
    for target in targets.split():
        found[target] = folder / f"out.{target}"
        assert main(["export", str(model), "--to", target, "-o", str(found[target]), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["difference"] <= 1e-5
    return found


def compiled(folder):
    command = [COMPILER, "-std=c99", "-O2", "-fPIC", "-shared", "-o", "model.so", "model.c"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "model.so"))


def pointer(values):
    return np.ascontiguousarray(values, np.float32).ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def by_regression(model):
    """As if the regression were all that predicts beside the networks."""
    model.baselines_.shares, model.baselines_.strongest = {"logistic regression": 1.0}, "logistic regression"
    model.blend_weight_, model.temperature_ = 0.6, 1.5


@pytest.mark.slow
def test_series_in_c_are_classified_as_predict_does(tables, tmp_path, capsys):
    """Both directions, frames, and random convolutions and nearest neighbours beside the networks."""
    estimator = Classifier(**SERIES, columns="heat,load", stride=3, share=0.5)
    found = exported(estimator, tables["waves"], "c html", tmp_path, capsys)
    header = (found["c"] / "model.h").read_text()
    assert "random convolutions" in header
    assert "gw_read" in header
    for options in (["-O3", "-c"], [*SANITIZED, "-o", "test", "model_test.c"]):
        subprocess.run([COMPILER, *STRICT, *options, "model.c"], cwd=found["c"], check=True)
    undefined = subprocess.run(["nm", "-u", "model.o"], cwd=found["c"], capture_output=True, check=True).stdout
    assert not undefined.split()
    subprocess.run(["./test"], cwd=found["c"], check=True)
    model = Classifier.load(found["model"])
    data = model._predictor().read(tables["waves"])
    wanted, library = model.predict_proba(tables["waves"]), compiled(found["c"])
    state, chances = ctypes.create_string_buffer(1 << 22), np.zeros(2, np.float32)
    for run in range(0, len(data), 5):
        own = data.take(np.array([run]))
        values = np.stack([own.steps[name].values for name in ("heat", "load")], 1)
        assert library.gw_read(state, len(values), pointer(values), chances.ctypes.data_as(ctypes.c_void_p)) == 0
        np.testing.assert_allclose(chances, wanted[run], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"bidirectional": False, "share": 1, "pooling": "last,max"}, None),
        ({"bidirectional": False}, by_regression),
        ({"columns": "heat,load,kind,age", "pooling": "last,mean,max,attention"}, by_regression),
        pytest.param(
            {"target": "age", "target_kind": "number", "columns": "heat,kind", "share": 0.5},
            None,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"bidirectional": False, "share": 1, "cell": "gru", "class_weight": "balanced"},
            by_regression,
            marks=pytest.mark.slow,
        ),
        ({"target": "quick,third", "share": 0.5, "ensemble": 1}, None),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_other_series(options, change, tables, tmp_path, capsys):
    chosen = {"columns": "heat,load", **SERIES, **options}
    exported(Classifier(**chosen), tables["waves"], "c html", tmp_path, capsys, change)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_what_a_sequence_has_once(bidirectional, tmp_path, capsys):
    rng, n = np.random.default_rng(0), 30
    offsets = np.concatenate([[0], np.cumsum(4 + np.arange(n) % 3)])
    steps = {"heat": Column("heat", "number", rng.normal(size=offsets[-1]).astype(np.float32))}
    hues, labels = (rng.choice(kinds, n).tolist() for kinds in (["red", "blue"], ["yes", "no"]))
    static = {
        "size": Column("size", "number", rng.normal(5, 2, n).astype(np.float32)),
        "hue": category_column("hue", hues, ["red", "blue"]),
        "label": category_column("label", labels, ["yes", "no"]),
    }
    estimator = Classifier(
        **{**SERIES, "key": None}, share=1, bidirectional=bidirectional, stride=2 if bidirectional else 1
    )
    found = exported(estimator, Sequences(offsets, steps, static), "c", tmp_path, capsys, by_regression)
    header = (found["c"] / "model.h").read_text()
    assert "fixed  1 numbers" in header
    assert "category0  'hue'" in header


@pytest.mark.parametrize(
    "options",
    [
        {"share": 0.5, "tokens": "both"},
        pytest.param({"share": 0.5, "tokens": "characters", "bidirectional": False}, marks=pytest.mark.slow),
        {"share": 0, "class_weight": "balanced"},
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_texts(options, tables, tmp_path, capsys):
    found = exported(Classifier(**TEXTS, **options), tables["texts"], "html", tmp_path, capsys)
    assert main(["export", str(found["model"]), "--to", "c", "-o", str(tmp_path / "c")]) == 2
    assert "reads texts ('text')" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_texts_by_word_vectors(tables, tmp_path, capsys):
    def by_vectors(model):
        model.baselines_.shares, model.baselines_.strongest = {VECTORS: 1.0}, VECTORS

    words = [*{word.lower() for word in Path(tables["texts"]).read_text().replace(",", " ").split() if word.isalpha()}]
    write_vectors(tmp_path / "v.txt", words, np.random.default_rng(0).normal(size=(len(words), 4)).astype(np.float32))
    estimator = Classifier(**{**TEXTS, "embedding_size": None}, share=0, vectors=str(tmp_path / "v.txt"))
    exported(estimator, tables["texts"], "html", tmp_path, capsys, by_vectors)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("words", {"share": 0.5}),
        ("words", {"share": 1, "crf": False, "bidirectional": False}),
        ("signs", {"share": 0.7}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_sentences(data, options, tables, tmp_path, capsys):
    columns = {"columns": "sign" if data == "signs" else "word"}
    found = exported(Tagger(**WORDS, **columns, **options), tables[data], "html", tmp_path, capsys)
    assert main(["export", str(found["model"]), "--to", "c", "-o", str(tmp_path / "c")]) == 2
    assert "look up" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [{"crf": True, "share": 0.5}, {"normalise": True, "bidirectional": False, "share": 1}], ids=str
)
def test_steps_of_whole_sequences(options, tables, tmp_path, capsys):
    estimator = Tagger(hidden_size=6, epochs=2, key="run", columns="heat,load", **options)
    found = exported(estimator, tables["waves"], "c html", tmp_path, capsys)
    assert ("gw_labels" in (found["c"] / "model.h").read_text()) == ("crf" in options)


@pytest.fixture(scope="module")
def forecaster(tables, tmp_path_factory):
    """A model file of two columns."""
    path = tmp_path_factory.mktemp("forecaster") / "forecaster.gatewise"
    sizes = {"hidden_size": 6, "epochs": 1, "horizon": 6, "season_length": 12, "context_length": 24}
    Forecaster(target="heat,load", share=0.4, **sizes).fit(tables["wave"], output=path)
    return path


def shared(forecaster, path, *names):
    """The same with other shares: these plain methods alike."""
    model = Forecaster.load(forecaster)
    shares = np.array([[float(name in names) / len(names) for name in model.plain_.methods]] * 2)
    model.plain_ = replace(model.plain_, shares=shares)
    model.save(path)
    return model


def test_forecasts_in_c_are_those_of_predict(forecaster, tables, tmp_path, capsys):
    model = shared(forecaster, tmp_path / "model.gatewise", "seasonal naive", "ridge")
    output = tmp_path / "c"
    assert main(["export", str(tmp_path / "model.gatewise"), "--to", "c", "-o", str(output)]) == 0
    header = (output / "model.h").read_text()
    assert "not exported" not in header.lower()
    steps = int(re.search(r"last (\d+) values", header)[1])
    wave = np.loadtxt(tables["wave"], delimiter=",", skiprows=1, dtype=np.float32)
    point, fan = np.zeros((2, 6), np.float32), np.zeros((2, 6, len(model.quantiles)), np.float32)
    state, out = ctypes.create_string_buffer(1 << 20), [each.ctypes.data_as(ctypes.c_void_p) for each in (point, fan)]
    assert compiled(output).gw_step(state, pointer(wave[-steps:].T), *out) == 0
    np.testing.assert_allclose(point.T, model.predict(tables["wave"])[0], rtol=1e-5)
    columns = next(iter(model.predictions(tables["wave"])))
    for k, level in enumerate(model.quantiles):
        np.testing.assert_allclose(fan[0, :, k], columns[f"heat_{level:g}"], rtol=1e-5)


def test_what_is_left_of_a_forecast_is_told(forecaster, tmp_path, capsys):
    shared(forecaster, tmp_path / "model.gatewise", "theta", "ridge")
    assert main(["export", str(tmp_path / "model.gatewise"), "--to", "html", "-o", str(tmp_path / "page.html")]) == 0
    assert "Not exported: theta, up to 30% of what the model predicts" in (tmp_path / "page.html").read_text()
