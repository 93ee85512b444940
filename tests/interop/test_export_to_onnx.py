"""`gatewise export --to onnx`: models of all tasks, the files, refusals."""

import errno
import io
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from gatewise import bundle
from gatewise.cli import main
from gatewise.interop.onnx import network, running, writing
from gatewise.runtime.layers import network_of
from gatewise.tasks import Captioner, Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, Translator
from gatewise.tasks.caption.architecture import encode
from gatewise.tasks.classify.words import numbered_model

TEXT = "the cat sat on the mat, and the dog saw the cat.\n" * 30
SMALL = {"hidden_size": 6, "epochs": 1}


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "text.gatewise"
    Generator(**SMALL, num_layers=2, batch_size=4).fit(io.StringIO(TEXT), output=path)
    return path


@pytest.fixture(scope="module")
def wave(tmp_path_factory):
    """A table of runs: two measurements and a label of each step."""
    rng, rows = np.random.default_rng(0), ["run,heat,load,label,kind"]
    for run in range(24):
        t, speed = np.arange(14 + run % 3), 1 + run % 2
        heat, load = np.sin(t / speed) + 0.1 * rng.normal(size=len(t)), rng.normal(size=len(t))
        rows += [
            f"{run},{a:.3f},{b:.3f},{'up' if a > 0 else 'down'},{'slow' if run % 2 else 'fast'}"
            for a, b in zip(heat, load, strict=True)
        ]
    path = tmp_path_factory.mktemp("tables") / "wave.csv"
    path.write_text("\n".join(rows))
    return str(path)


def exported(model, output, capsys, *options):
    assert main(["export", str(model), "--to", "onnx", "-o", str(output), "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] <= 1e-5
    files = [onnx.load(file) for file in found["files"]]
    for file in files:
        onnx.checker.check_model(file, full_check=True)
    return files


def fitted(estimator, tmp_path, *data):
    path = tmp_path / "model.gatewise"
    estimator.fit(*data, output=path)
    return path


def properties(model):
    return {entry.key: entry.value for entry in model.metadata_props}


def test_a_language_model_with_its_document(text_model, tmp_path, capsys):
    [model] = exported(text_model, tmp_path / "text.onnx", capsys)
    names = ["layer0_h", "layer0_c", "layer1_h", "layer1_c"]
    assert [each.name for each in model.graph.input] == ["token", *names]
    assert [each.name for each in model.graph.output] == ["scores", *(f"{name}_next" for name in names)]
    assert [each.dim_param for each in model.graph.input[0].type.tensor_type.shape.dim] == ["T", "B"]
    found = properties(model)
    own = json.loads(found["document"])
    assert own["vocabulary"]["kind"] == "characters"
    assert found["digest"] == own["sha256"]
    assert "training text" in found["difference"]
    assert {node.op_type for node in model.graph.node} >= {"LSTM"}
    [loops] = exported(text_model, tmp_path / "loops.onnx", capsys, "--operator", "scan")
    assert {node.op_type for node in loops.graph.node} >= {"Scan"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Tagger, {"target": "label", "bidirectional": False, "share": 1}),
        (Tagger, {"target": "label", "crf": True, "share": 0.5}),
        (Classifier, {"target": "kind", "share": 1, "pooling": "last,mean,max,attention", "ensemble": 1}),
        pytest.param(Classifier, {"target": "kind", "share": 0.5, "stride": 2}, marks=pytest.mark.slow),
        pytest.param(Classifier, {"target": "kind", "share": 0.5, "bidirectional": False}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_measurements(kind, options, wave, tmp_path, capsys):
    path = fitted(kind(**SMALL, key="run", columns="heat,load", **options), tmp_path, wave)
    [model] = exported(path, tmp_path / "out.onnx", capsys)
    assert ("table.chain.transitions" in properties(model)) == ("crf" in options)


def test_nearest_neighbours_are_left_out_which_is_said(wave, tmp_path):
    sizes = {**SMALL, "key": "run", "columns": "heat,load", "target": "kind", "ensemble": 1, "bidirectional": False}
    path = fitted(Classifier(**sizes, share=0.5), tmp_path, wave)
    for shares, said in (
        ({"nearest neighbours": 0.4, "logistic regression": 0.6}, "Nearest neighbours have 20% of what"),
        (
            {"nearest neighbours": 1.0},
            "predicts is 50%; the rest is that of nearest neighbours",
        ),
    ):
        model = Classifier.load(path)
        model.baselines_.shares = shares
        found = numbered_model(model, "", lambda matrix: matrix)
        assert said in found.title
        graph = network.build(found.recording).model("classifier")
        assert running.difference(found, running.runner(graph.SerializeToString())) <= 1e-5


def test_what_is_expected_of_the_next_step(wave, tmp_path, capsys):
    detector = fitted(Detector(**SMALL, key="run", columns="heat,load"), tmp_path, wave)
    [model] = exported(detector, tmp_path / "detector.onnx", capsys)
    assert [each.name for each in model.graph.output][:3] == ["expected", "spread", "surprise"]


@pytest.mark.parametrize(
    "options",
    [{"share": 0.4, "season_length": 5}, pytest.param({"share": 1}, marks=pytest.mark.slow)],
    ids=str,
)
def test_forecasts(options, wave, tmp_path, capsys):
    sizes = {"target": "heat,load", "key": "run", "horizon": 2, "context_length": 8}
    [model] = exported(fitted(Forecaster(**SMALL, **sizes, **options), tmp_path, wave), tmp_path / "out.onnx", capsys)
    assert [each.name for each in model.graph.output] == ["forecast", "quantiles"]


@pytest.mark.parametrize("task", ["classify", "tag"])
def test_texts_as_numbers_of_words_and_letters(task, tmp_path, capsys):
    rng = np.random.default_rng(0)
    words = [rng.choice(["great", "film", *(f"w{k}x" for k in range(120))], 8) for _ in range(60)]
    words = [[*own, "great"] if n % 2 else own for n, own in enumerate(words)]
    if task == "classify":
        data = [" ".join(own) for own in words], ["good" if "great" in own else "bad" for own in words]
        estimator = Classifier(**SMALL, embedding_size=8, share=0.5, tokens="both", ensemble=1)
        path = fitted(estimator, tmp_path, *data)
    else:
        rows = [f"{n},{word},{'X' if word == 'film' else 'O'}" for n, own in enumerate(words) for word in own]
        (tmp_path / "words.csv").write_text("\n".join(["run,word,label", *rows]))
        estimator = Tagger(**SMALL, embedding_size=8, char_hidden_size=4, key="run", columns="word", share=0.5)
        path = fitted(estimator, tmp_path, str(tmp_path / "words.csv"))
    output = tmp_path / "out.onnx"
    assert main(["export", str(path), "--to", "onnx", "-o", str(output)]) == 0
    assert "share in what the model predicts is 50%" in capsys.readouterr().err
    model = onnx.load(output)
    assert {"letters", "letter_counts", "lengths"} < {each.name for each in model.graph.input}
    assert "which is not exported" in properties(model)["title"]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_transcribers(bidirectional, tmp_path, capsys):
    rng, x, texts = np.random.default_rng(0), [], []
    for _ in range(16):
        letters = rng.integers(0, 3, 3)
        steps = np.repeat(np.eye(3)[letters], 4, 0) + 0.1 * rng.normal(size=(12, 3))
        x.append(steps.astype(np.float32))
        texts.append("".join("abc"[letter] for letter in letters))
    path = fitted(Transcriber(**SMALL, num_layers=1, bidirectional=bidirectional), tmp_path, x, texts)
    [model] = exported(path, tmp_path / "out.onnx", capsys)
    assert ("lengths" in [each.name for each in model.graph.input]) == bidirectional


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "multiplicative", "input_feeding": True},
        {"attention": "additive", "cell": "slstm"},
        pytest.param({"copy_mechanism": True, "attention": "additive"}, marks=pytest.mark.slow),
        pytest.param({"attention": "none", "cell": "gru"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_translators_are_two_files(options, tmp_path, capsys):
    digits = [[str(d) for d in np.random.default_rng(n).integers(0, 9, 3)] for n in range(30)]
    data = [" ".join(own) for own in digits], [" ".join(own[::-1]) for own in digits]
    sizes = {"tokens": "words", "embedding_size": 8, "hidden_size": 8, "epochs": 1}
    path = fitted(Translator(**sizes, **options, only="network"), tmp_path, *data)
    encoder, decoder = exported(path, tmp_path / "out", capsys)
    given = {each.name for each in encoder.graph.output}
    assert given < {each.name for each in decoder.graph.input}
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["decoder.onnx", "encoder.onnx"]
    assert "attention" in [each.name for each in decoder.graph.output] or options["attention"] == "none"


def test_captioners_are_two_files(tmp_path, capsys, monkeypatch):
    """And both are there, or none, nor their folder."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (16, 8, 8, 3)).astype(np.uint8)
    path = fitted(
        Captioner(channels=8, embedding_size=8, hidden_size=8, epochs=1, batch_size=8),
        tmp_path,
        images,
        [["a lamp"], ["the red dot"]] * 8,
    )
    encoder, _ = exported(path, tmp_path / "out", capsys)
    shape = [dim.dim_param or dim.dim_value for dim in encoder.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["B", 8, 8, 3]
    monkeypatch.setattr(writing, "atomic", no_space)
    assert main(["export", str(path), "--to", "onnx", "-o", str(tmp_path / "other")]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def no_space(path):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("operator", ["auto", "scan"])
def test_a_captioner_of_clips_reads_those_of_several_lengths(tmp_path, capsys, operator):
    """Beside what it makes of frames that are packed one clip behind the other."""
    path = Path(__file__).parents[1] / "tasks" / "models" / "caption_clips.model"
    encoder, _ = exported(path, tmp_path / "clips", capsys, "--operator", operator)
    assert [each.dim_param for each in encoder.graph.input[0].type.tensor_type.shape.dim][:2] == ["T", "B"]
    model = Captioner.load(path)
    net = network_of(model._architecture(), model._read_weights)
    lengths, frames = np.array([2, 5, 1]), np.random.default_rng(0).random((5, 3, *model.inputs_.shape), np.float32)
    packed = np.concatenate([frames[:length, place] for place, length in enumerate(lengths)])
    _, memory = encode(net, {"frames": packed, "lengths": lengths})
    found = running.runner(encoder.SerializeToString())({"frames": frames, "lengths": lengths})
    inside = found["inside"]
    assert inside.sum(1).tolist() == [length * memory.inside[1].sum() / 5 for length in lengths]
    np.testing.assert_allclose(found["values"][inside], memory.values[memory.inside], atol=1e-5)
    np.testing.assert_allclose(found["keys"][inside], memory.keys[memory.inside], atol=1e-5)


def test_what_was_not_run_says_so(text_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    output = tmp_path / "text.onnx"
    assert main(["export", str(text_model), "--to", "onnx", "-o", str(output)]) == 0
    assert "not proved: install onnxruntime" in capsys.readouterr().out
    assert properties(onnx.load(output))["difference"] == "not proved: install onnxruntime"


@pytest.mark.parametrize(("to", "name"), [("onnx", "a.onnx"), ("torch", "a.safetensors"), ("html", "a.html")])
def test_weights_are_counted_as_fit_counts_them(to, name, text_model, tmp_path, capsys):
    """Whatever becomes of biases of which a layer has two, and of a table that is used twice."""
    counted = sum(weight.numel() for weight in Generator.load(text_model).model_.parameters())
    assert main(["export", str(text_model), "--to", to, "-o", str(tmp_path / name), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"] == counted


def test_a_wrong_file_is_not_kept(text_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(running, "difference", lambda *_: 0.5)
    assert main(["export", str(text_model), "--to", "onnx", "-o", str(tmp_path / "text.onnx")]) == 2
    assert "differs from the model by 0.5, above 1e-05, and was not kept" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_onnxruntime_does_not_run_is_one_line(text_model, tmp_path, capsys, monkeypatch):
    import onnxruntime

    def fails(*_, **__):
        raise ValueError("no such\nkernel")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fails)
    assert main(["export", str(text_model), "--to", "onnx", "-o", str(tmp_path / "text.onnx")]) == 2
    assert "does not run what was exported, so it was not kept: no such kernel" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_refusals(text_model, tmp_path, capsys):
    def refused(*arguments):
        assert main(["export", *map(str, arguments)]) == 2
        return capsys.readouterr().err

    onnx_of = (text_model, "--to", "onnx", "-o")
    said = refused(*onnx_of, tmp_path / "a.onnx", "--operator", "scn")
    assert said.startswith("gatewise: ")
    assert "Did you mean 'scan'" in said
    assert "--operator is of onnx" in refused(text_model, "--to", "c", "-o", tmp_path / "c", "--operator", "scan")
    assert "int8" in refused(*onnx_of, tmp_path / "a.onnx", "--weights", "int8")
    assert "there is no folder" in refused(*onnx_of, tmp_path / "no" / "a.onnx")
    (tmp_path / "there.onnx").write_text("mine")
    assert "Pass --force" in refused(*onnx_of, tmp_path / "there.onnx")
    plain = tmp_path / "plain.gatewise"
    Generator(only="plain").fit(io.StringIO(TEXT), output=plain)
    assert "--only plain" in refused(plain, "--to", "onnx", "-o", tmp_path / "a.onnx")
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"there.onnx", "plain.gatewise", "plain.gatewise.metrics.jsonl"}


def test_the_program_of_the_page_runs(text_model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exported(text_model, tmp_path / "demo.onnx", capsys)
    page = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text()
    [program] = [own for own in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if "onnxruntime" in own]
    names = {}
    exec(program, names)
    assert names["scores"].shape[:2] == (1, 1)
    assert {name: own.shape for name, own in names["states"].items()} == dict.fromkeys(
        ["layer0_h", "layer0_c", "layer1_h", "layer1_c"], (1, 6)
    )


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_what_plain_methods_know_is_no_weight(share, tmp_path, capsys):
    """Their tensors stand beside those of the network, which is not there at all where it has no share."""
    t, rows = np.arange(12), ["run,heat,label"]
    for run in range(24):
        rows += [f"{run},{v:.3f},{'fast' if run % 2 else 'slow'}" for v in np.sin(t / (1 + run % 2) + run)]
    (tmp_path / "runs.csv").write_text("\n".join(rows))
    model, output = str(tmp_path / "m.gatewise"), tmp_path / "a.c"
    fitted = Classifier(key="run", hidden_size=4, epochs=1, share=share)
    fitted.fit(str(tmp_path / "runs.csv"), output=model)
    counted = sum(weight.numel() for weight in fitted.model_.parameters())
    assert bundle.read_header(model).weights == counted > 0
    assert main(["export", model, "--to", "c", "-o", str(output), "--json"]) == 0
    found = capsys.readouterr()
    assert json.loads(found.out)["weights"] == (counted if share else 0)
    assert ("No network" in found.err) is (share == 0)
    assert main(["info", model]) == 0
    said = capsys.readouterr().out
    assert f"parameters      {counted:,} in " in said
    assert "other data" in said
