"""Model files that were written before options were renamed still open, and say what they said then.

Beside each `models/NAME.model` stands `NAME.json`: the options that it was trained with, data, what it was asked of
which of them, and what it answered. `make_old_models.py` made both, at revision 098e925 (`sequential_texts` at
42edfcf); but the paths that `forecast_counts` draws are those of a generator of numpy for each window, which took the
place of one of torch for all; and the models of text read the token that texts begin after before a prompt, too.
"""

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gatewise
from gatewise import Writer
from gatewise.explanation import trace
from gatewise.runtime import layers
from gatewise.tasks import KNOWN

MODELS = Path(__file__).parent / "models"
NAMES = sorted(path.stem for path in MODELS.glob("*.json"))

RENAMED = {  # option then -> now
    "context": "context_length",
    "copying": "copy_mechanism",
    "future": "future_covariates",
    "letters_size": "char_hidden_size",
    "levels": "quantiles",
    "maps": "image_hidden_size",
    "memory": "history",
    "past": "past_covariates",
    "season": "season_length",
    "stack": "frame_stacking",
    "static": "static_covariates",
    "variation": "augmentation",
}


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def story(name):
    return json.loads((MODELS / f"{name}.json").read_text())


@pytest.fixture
def model(name, story, tmp_path):
    return gatewise.load(opened(name, tmp_path))


def test_it_says_what_it_said(model, story, tmp_path):
    compare(model, story, tmp_path)


def test_saved_again_it_says_the_same(model, story, tmp_path):
    model.save(tmp_path / "again.model")
    compare(type(model).load(tmp_path / "again.model"), story, tmp_path)


def test_while_traced_it_says_the_same(model, story, tmp_path, monkeypatch):
    """Every layer of every network of a task keeps what it computes, and nothing else changes."""
    traced = []

    def network_of(*args):
        net, traces = trace(layers.network_of(*args), lambda net: net)
        traced.append(traces)
        return net

    monkeypatch.setattr("gatewise.tasks.estimator.network_of", network_of)
    model._made = None  # what was made of the weights when they were read
    compare(model, {**story, "asked": story["asked"][:2]}, tmp_path)
    traces = [one for some in traced for one in some]
    assert traces or model.task == "generate"  # which steps the engine's streams
    for one in traces[:20]:
        assert set(one.values) == set(one.cell.names.values())
        for values in one.values.values():
            assert np.isfinite(values).all()
            assert not values[np.arange(len(values))[:, None] >= one.lengths].any()


def test_its_options_are_those_that_were_given(model, story):
    known = plain(model.get_params())
    for option, value in story["options"].items():
        assert known[option if option in known else RENAMED[option]] == value, option


def test_its_figures_are_kept(model, story):
    assert plain(model.metrics_) == story["metrics"]


def test_a_writer_without_torch_reads_the_same_file():
    story = json.loads((MODELS / "generate_text.json").read_text())
    [asked] = [asked for asked in story["asked"] if asked["ask"] == "next token"]
    writer = Writer.load(opened("generate_text", None))
    writer.push(story["data"][asked["of"]])
    np.testing.assert_allclose(writer.state.scores, asked["answer"], rtol=1e-5, atol=1e-6)


def test_there_is_one_of_each_task():
    tasks = {json.loads(path.read_text())["task"] for path in MODELS.glob("*.json")}
    assert tasks == {*KNOWN}


def opened(name, folder):
    """The path of a model file; one that is mostly zeros lies packed, and is unpacked into the folder."""
    path = MODELS / f"{name}.model"
    if path.exists():
        return path
    unpacked = folder / path.name
    unpacked.write_bytes(gzip.decompress((MODELS / f"{name}.model.gz").read_bytes()))
    return unpacked


def compare(model, story, folder):
    """Ask again what was asked then."""
    for number, asked in enumerate(story["asked"]):
        place = folder / f"{number}"
        place.mkdir(exist_ok=True)
        found = plain(ask(model, asked["ask"], story["data"][asked["of"]], asked["options"], place))
        if model.task == "tag" and asked["ask"] == "predictions":  # which now say the key and the time as well
            found = [{name: chunk[name] for name in chunk if name not in ("robot", "tick")} for chunk in found]
        if model.task == "forecast" and asked["ask"] in ("backtest", "evaluate"):  # which now tell more
            for part in found.values():
                if isinstance(part, dict):
                    for name in ("origins", "mase_std", "mase_least", "mase_most", "coverage_80", "coverage_95"):
                        part.pop(name, None)
        if asked["ask"] == "events":  # which now have room for channels and a cause, that older scores do not tell
            assert all(event.pop("cause") is None and event.pop("channels") == [] for event in found)
        assert_alike(found, asked["answer"], f"{asked['ask']} {asked['options']}")


def ask(model, how, data, options, folder):
    """What a model answers.

    Args:
        how: One of its methods, "stream" (push piece by piece), or "next token" (the scores behind a text).
        data: As the JSON has it; see `read`.
        options: Of the method.
        folder: For data that must lie in files.
    """
    given = read(data, folder)
    if how == "next token":
        writer = model.writer()
        writer.push(given)
        return writer.state.scores
    if how == "stream":
        stream = model.stream()
        said = [stream.push(piece) for piece in given]
        rest = stream.finish() if hasattr(stream, "finish") else None
        return said if rest is None else [*said, rest]
    found = getattr(model, how)(given, **options)
    return list(found) if isinstance(found, Iterator) else found


def read(data, folder):
    """Data as the JSON has it: an array, a list of arrays, a text to read, images to write into files, or itself."""
    if not isinstance(data, dict):
        return data
    if "array" in data:
        return np.array(data["array"], data["dtype"])
    if "arrays" in data:
        return [np.array(one, data["dtype"]) for one in data["arrays"]]
    if "text" in data:
        return io.StringIO(data["text"])
    if "files" in data:
        for name, pixels in data["files"].items():
            Image.fromarray(np.array(pixels, np.uint8)).save(folder / name)
        return folder
    return data


def plain(value):
    """An answer as JSON has it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value):
        return plain(asdict(value))
    if isinstance(value, np.ndarray):
        return plain(value.astype(str).tolist() if value.dtype.kind == "M" else value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def assert_alike(found, wanted, where):
    """The same words and whole numbers, and other numbers within rounding."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            assert_alike(found[key], wanted[key], f"{where}, {key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_alike(one, other, f"{where}[{place}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6), where
    else:
        assert found == wanted, where
