"""Compressed models of each task: what is in their files, and that they answer as weights that were rounded here."""

import io
import json

import numpy as np
import pytest
from safetensors import safe_open
from test_old_models import MODELS as OLD
from test_old_models import NAMES, ask, opened, plain

import gatewise
from gatewise import bundle
from gatewise.cli import main
from gatewise.compression import quantised
from gatewise.errors import ModelFileError, OptionError
from gatewise.native import arrays
from gatewise.runtime.language_model import LanguageModel
from gatewise.tasks import Classifier, Generator, Tracer
from gatewise.tasks.compressing import _check_cost, _cost


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def original(name, tmp_path):
    """A model file of a task, as it is saved today."""
    path = tmp_path / "original.gatewise"
    gatewise.load(opened(name, tmp_path)).save(path)
    return path


def compressed(original, kind):
    small = original.with_name(f"{kind}.gatewise")
    gatewise.compress(original, small, kind)
    return small


def raw(path):
    """Tensors as they stand in a file."""
    with safe_open(path, "np") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)


def matrices(path):
    """Of the network, by name."""
    weights = gatewise.load(path)._weights()
    return [name for name, array in raw(path).items() if name in weights and array.ndim > 1]


def answers(path, name, folder):
    story = json.loads((OLD / f"{name}.json").read_text())
    found = []
    for number, asked in enumerate(story["asked"]):
        place = folder / f"{path.stem}{number}"
        place.mkdir()
        found.append(plain(ask(gatewise.load(path), asked["ask"], story["data"][asked["of"]], asked["options"], place)))
    return found


def test_float16_answers_as_the_rounded_weights_do(name, original, tmp_path):
    tensors = raw(original)
    for key in matrices(original):
        tensors[key] = tensors[key].astype(np.float16).astype(np.float32)
    rounded = tmp_path / "rounded.gatewise"
    bundle.save(rounded, bundle.load(original).document, tensors)
    small = compressed(original, "float16")
    assert {key for key, array in raw(small).items() if array.dtype == np.float16} == set(matrices(original))
    np.testing.assert_equal(answers(small, name, tmp_path), answers(rounded, name, tmp_path))


def test_int8_holds_the_nearest_whole_numbers_of_each_row(original):
    small = raw(compressed(original, "int8"))
    before = raw(original)
    for key in matrices(original):
        rows = before[key].reshape(len(before[key]), -1).astype(np.float64)
        whole, scale = small[key].reshape(rows.shape), small[f"{key}.scale"].astype(np.float64)
        assert whole.dtype == np.int8
        assert small[f"{key}.scale"].dtype == np.float32
        np.testing.assert_allclose(scale, np.where(rows.any(1), abs(rows).max(1) / 127, 1), rtol=1e-6)
        assert (abs(whole * scale[:, None] - rows) <= 0.5001 * scale[:, None]).all()
    others = before.keys() - set(matrices(original))
    assert all(np.array_equal(small[key], before[key], equal_nan=True) for key in others)
    assert small.keys() - before.keys() == {f"{key}.scale" for key in matrices(original)}


def test_int8_answers_every_question_the_same_again_when_saved_once_more(name, original, tmp_path):
    small = compressed(original, "int8")
    again = tmp_path / "again.gatewise"
    model = gatewise.load(small)
    model.save(again)
    assert model.compressed_.weights == "int8"
    assert gatewise.load(again).compressed_ == model.compressed_
    assert raw(again).keys() == raw(small).keys()
    for key, array in raw(small).items():
        if array.dtype == np.int8:
            np.testing.assert_array_equal(raw(again)[key], array)
    assert len(answers(small, name, tmp_path)) == len(json.loads((OLD / f"{name}.json").read_text())["asked"])


@pytest.fixture
def text_model(tmp_path):
    path = tmp_path / "text.gatewise"
    text = "she sells sea shells by the sea shore. " * 60
    Generator(hidden_size=32, epochs=2, seed=1, threads=1).fit(io.StringIO(text), output=path)
    (tmp_path / "text.txt").write_text(text)
    return path


def test_int8_runs_on_whole_numbers(text_model):
    """The layers give what the engine's int8 gives for the weights of the file, and other bits than float32."""
    small = compressed(text_model, "int8")
    net, weights = gatewise.load(small)._net, bundle.load(small).tensors
    x = np.random.default_rng(0).standard_normal((7, 3, net.layers.inputs)).astype(np.float32)
    own = [weights[f"layers.{key}_l0"] for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    own = [own[0], own[1], own[2] + own[3]] if len(net.layers.weights[0]) == 3 else own
    state = [value[0] for value in net.layers.start(3)]
    found = {p: arrays.recurrence(net.layers.cell, x, state, own, precision=p)[0][0] for p in ("float32", "int8")}
    y, _ = net.layers(x)
    np.testing.assert_array_equal(y, found["int8"])
    assert not np.array_equal(y, found["float32"])
    np.testing.assert_allclose(y, found["float32"], atol=0.05)


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_verbs_take_it_and_info_says_what_it_cost(text_model, tmp_path, capsys, kind):
    small, text = tmp_path / "small.gatewise", str(tmp_path / "text.txt")
    command = ["compress", str(text_model), "--weights", kind, "-o", str(small), "--data", text, "--json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes_after"] < told["bytes_before"]
    assert told["cost"]["part"] == "test"
    test = gatewise.load(small).evaluate(tmp_path / "text.txt")["test"]
    assert told["cost"]["after"] == pytest.approx(test[told["cost"]["measure"]], rel=1e-9)
    assert bundle.read_header(small).document["compressed"] == {"weights": kind, "cost": told["cost"]}
    assert main(["info", str(small)]) == 0
    out = capsys.readouterr().out
    assert f"weights         {kind}; bits per character" in " ".join(out.split("\n"))
    assert "text.txt" in out
    weights = [array.size for key, array in raw(text_model).items() if not key.startswith("plain.")]
    assert f"{sum(weights):,} in {len(weights)} tensors" in out
    assert main(["evaluate", str(small), text]) == 0
    assert main(["sample", str(small), "--length", "5"]) == 0
    capsys.readouterr()
    live = gatewise.load(small).writer().language_model.streams()
    one, other = live.open(), live.open()
    alone = live.push({one: "she sells"})[one]
    live.push({other: "she "})
    np.testing.assert_array_equal(live.push({other: "sells"})[other], alone)
    of_file = LanguageModel.load(small).streams()
    np.testing.assert_array_equal(of_file.push({of_file.open(): "she sells"}).popitem()[1], alone)
    for target in ("c", "html"):
        output = tmp_path / (target if target == "c" else "page.html")
        assert main(["export", str(small), "--to", target, "-o", str(output)]) == 0, capsys.readouterr().err


def test_a_compressed_model_of_numbers_runs_as_its_file_does(tmp_path):
    x = np.random.default_rng(0).standard_normal((20, 12, 2)).cumsum(1)
    Generator(hidden_size=32, epochs=1, mixtures=2, threads=1).fit([*x], output=tmp_path / "numbers")
    small = compressed(tmp_path / "numbers", "int8")
    whole, of_file = gatewise.load(small), Tracer.load(small)
    rounded = gatewise.load(small)
    rounded.compressed_ = None  # the same numbers, multiplied as floats
    found = []
    for tracer in (whole.tracer(), of_file, rounded.tracer()):
        tracer.push(x[0])
        found.append(tracer.state.output)
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def refused(capsys, *words):
    assert main(list(map(str, words))) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    return line


def test_what_became_worse_is_refused_and_nothing_is_written(text_model, tmp_path, capsys, monkeypatch):
    def wrong(matrix):
        whole, scale = quantised(matrix)
        return -whole, scale

    monkeypatch.setattr("gatewise.compression.quantised", wrong)
    small = tmp_path / "small.gatewise"
    there = sorted(tmp_path.iterdir())
    command = ("compress", text_model, "--weights", "int8", "-o", small, "--data", tmp_path / "text.txt")
    line = refused(capsys, *command)
    assert "worse, and tolerance is 1.00%" in line
    assert sorted(tmp_path.iterdir()) == there
    assert main([*map(str, command), "--tolerance", "1e9"]) == 0
    assert small.exists()


def test_worse_is_less_of_an_accuracy_and_more_of_an_error():
    def judged(measure, figure):
        return {"strongest_plain": {"measure": measure, "part": "test", "model": figure}}

    for measure, before, after in (("accuracy", 0.9, 0.88), ("mae", 2.0, 2.03), ("nats_per_step", -2.0, -1.97)):
        cost = _cost(judged(measure, before), judged(measure, after), "d.csv")
        _check_cost(cost, 0.03, "int8")
        _check_cost(_cost(judged(measure, after), judged(measure, before), "d.csv"), 0, "int8")
        with pytest.raises(OptionError, match="worse, and tolerance is"):
            _check_cost(cost, 0.01, "int8")
    with pytest.raises(OptionError, match="float16"):
        _check_cost(_cost(judged("mae", 0.0), judged("mae", 0.1), "d.csv"), 0.5, "int8")


def test_what_cannot_be_compressed(text_model, tmp_path, capsys):
    small, other = compressed(text_model, "float16"), tmp_path / "other.gatewise"
    assert "compressed already, to float16" in refused(capsys, "compress", small, "--weights", "int8", "-o", other)
    assert "no kind of weights" in refused(capsys, "compress", text_model, "--weights", "int4", "-o", other)
    assert "exists" in refused(capsys, "compress", text_model, "--weights", "int8", "-o", small)
    assert "is compressed" in refused(
        capsys, "fit", "generate", tmp_path / "text.txt", "-o", small, "--resume", "--quiet"
    )
    x = np.random.default_rng(0).standard_normal((12, 6, 1))
    plain_only = tmp_path / "plain.gatewise"
    Classifier(only="plain").fit(x, ["a", "b"] * 6, output=plain_only)
    assert "no network" in refused(capsys, "compress", plain_only, "--weights", "int8", "-o", other)
    assert "read twice" in refused(capsys, "compress", text_model, "--weights", "int8", "-o", other, "--data", "-")
    assert not other.exists()


def test_numbers_that_float16_does_not_hold(text_model, tmp_path):
    found = bundle.load(text_model)
    found.tensors["output.weight" if "output.weight" in found.tensors else "embedding.weight"][0, 0] = 1e6
    bundle.save(text_model, found.document, found.tensors)
    with pytest.raises(OptionError, match="float16 ends at 65504"):
        gatewise.compress(text_model, tmp_path / "small.gatewise", "float16")
    assert not (tmp_path / "small.gatewise").exists()


def test_the_format_is_newer_only_where_older_versions_cannot_read_it(text_model):
    assert bundle.read_header(text_model).document["format"] == 1
    assert bundle.read_header(compressed(text_model, "float16")).document["format"] == 2


@pytest.mark.parametrize("damage", ["no scale", "scale of 0", "scale too short", "kind", "more"])
def test_damaged_files_are_refused_in_one_line(text_model, capsys, damage):
    small = compressed(text_model, "int8")
    tensors, document = raw(small), bundle.read_header(small).document
    scale = "layers.weight_hh_l0.scale"
    if damage == "no scale":
        del tensors[scale]
    elif damage == "scale of 0":
        tensors[scale][0] = 0
    elif damage == "scale too short":
        tensors[scale] = tensors[scale][1:]
    elif damage == "kind":
        document["compressed"]["weights"] = "int3"
    else:
        document["compressed"]["bits"] = 3
    bundle.save(small, document, tensors)
    with pytest.raises(ModelFileError):
        gatewise.load(small)
    refused(capsys, "sample", small, "--length", "3")
    refused(capsys, "evaluate", small, small.with_name("text.txt"))
