"""Models of strangers: whatever a file says, to open it and to use it ends soon, in an answer or in one line.

Each old model is changed in one place: every value of its document, and every tensor, by a list of nasty ones. The
digest is valid, as whoever changes a file on purpose can make it.
"""

import copy
import json
import random
import resource
import time
import warnings

import numpy as np
import pytest
from test_old_models import MODELS, NAMES, ask, opened, plain, read

import gatewise
from gatewise import Tracer, Writer, bundle
from gatewise.cli.info import describe
from gatewise.decoding.options import Decoding
from gatewise.decoding.sampling import Sampler
from gatewise.errors import GatewiseError, ModelFileError

NASTY = [None, -1, 0, 7, 10**12, 3.7, -0.5, 1e308, "", "x", "zz" * 5000, [], {}, True, [[[[[[1]]]]]]]
SOON = 10  # seconds
SMALL = 500_000  # kB

LISTS = {
    "doubled": lambda found: found + found,
    "halved": lambda found: found[: len(found) // 2],
    "repeated": lambda found: found[:1] * len(found),
}
TENSORS = {
    "halved": lambda tensor: tensor[: len(tensor) // 2] if tensor.ndim else tensor[None],
    "doubled": lambda tensor: np.concatenate([tensor, tensor]) if tensor.ndim else tensor[None],
    "transposed": lambda tensor: tensor.T,
    "flat": lambda tensor: tensor.reshape(-1),
    "empty": lambda tensor: tensor[:0] if tensor.ndim else tensor[None],
    "deeper": lambda tensor: tensor[None],
    "zero": np.zeros_like,
    "negative": np.negative,
    "large": lambda tensor: np.full_like(tensor, 1e15),
    "NaN": lambda tensor: np.full(tensor.shape, np.nan, np.float32),
    "infinite": lambda tensor: np.full(tensor.shape, np.inf, np.float32),
    "whole": lambda tensor: tensor.astype(np.int32),
}


@pytest.mark.parametrize("name", NAMES)
def test_some_changes(name, tmp_path):
    check(name, tmp_path, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_change(name, tmp_path):
    check(name, tmp_path, None)


HUGE = [
    (
        "generate_text",
        {"sizes.num_layers": 10**12},
        "num_layers must be a whole number, from 1 to 1000, not 1000000000000",
    ),
    (
        "generate_text",
        {"sizes.hidden_size": 10**9},
        "layers.weight_ih_l0 has the shape (32, 4), where its sizes say (4000000000, 4)",
    ),
    (
        "generate_numbers",
        {"sizes.mixtures": 1000},
        "where its sizes say (6002",
    ),
    ("generate_numbers", {"sizes.num_layers": 1000}, "it has 6 tensors, and its sizes need more"),
    ("classify_text", {"sizes.ensemble": 3_000_000}, "ensemble must be a whole number, from 1 to 100, not 3000000"),
    ("classify_text", {"sizes.ensemble": 100}, "it has 30 tensors, and its sizes need more"),
    ("classify_number", {"sizes.num_layers": 1000}, "it has 15 tensors, and its sizes need more"),
    ("tag_numbers", {"sizes.hidden_size": 10**6}, "where its sizes say"),
    ("forecast_counts", {"options.samples": 10**6}, "samples must be a whole number, from 1 to 100000"),
    ("forecast_counts", {"options.horizon": 10**5}, "mode 'autoregressive' draws at most 10,000 steps"),
    ("forecast_quantiles", {"sizes.context": 10**5}, "moved has the shape (4, 12), where its sizes say (4, 100000)"),
    ("transcribe_lines", {"frames.stack": 10**12}, "frames.stack must be a whole number, from 1 to 1000"),
    ("caption_images", {"inputs.shape": [2**31 - 1, 8, 3]}, "it has 34 tensors, and its sizes need more"),
    ("detect_both", {"options.memory": 10**12}, "history must be a whole number, from 100 to"),
]
WRONG = [
    ("translate_copying", {"sizes.dropout": 7}, "dropout must be a number from 0 to below 1, not 7"),
    ("forecast_counts", {"sizes.dropout": None}, "sizes.dropout is null, not a number"),
    ("classify_sensors", {"options.key": 7}, "options.key is 7, not text or a list or null"),
    ("classify_sensors", {"options.key": ["a", 7]}, "options.key[1] is 7, not text"),
    ("classify_number", {"inputs.categories": [{"name": "kind", "per_step": True, "levels": ["a", "a"]}]}, '"a" twice'),
    ("classify_number", {"targets.classes": ["a", "b"]}, "targets: a number of 1 columns has 2 classes"),
    ("classify_sensors", {"training.data": {"fingerprint": "x"}}, "training.data has no 'held_out'"),
    ("tag_entities", {"targets.classes": [f"B-{i}" for i in range(20_000)], "baselines.labels": ["B-1"]}, "crf.trans"),
    ("tag_entities", {"features.categories": {"other": ["a"]}}, "where its sizes say"),
    ("tag_entities", {"baselines.columns": ["nowhere"]}, "its baselines read columns that its features do not"),
    ("tag_numbers", {"baselines.weights": [[1.0], [2.0]]}, "its linear baseline needs 3 x 1 weights"),
    ("tag_numbers", {"features.scales": {"left": [1.0]}}, "its means and scales are not those of different columns"),
    ("forecast_quantiles", {"options.past": []}, "inputs.past describes other columns than past_covariates names"),
    ("forecast_quantiles", {"inputs.calendar": ["day of week (sine)"]}, "its calendar is not that of a frequency"),
    ("forecast_quantiles", {"frequency.count": 0}, "frequency.count must be a whole number, 1 or more, not 0"),
    ("detect_both", {"plain_thresholds": {"other": 1}}, "its plain_thresholds are not of"),
    ("detect_both", {"channels": ["x0", "x0"]}, 'channels holds "x0" twice'),
    ("caption_clips", {"training.data.counts": [48, 6]}, "training.data.counts is a list of 2, not a list of 3"),
    ("caption_images", {"vocabulary.words": ["a", "lamp"]}, "where its sizes say"),
    ("generate_words", {"vocabulary.words": ["the"]}, "the embedding has 12 rows for a vocabulary of 3"),
    ("transcribe_lines", {"height": 5}, "its frames have [4] channels, and its signals [5]"),
    ("translate_characters", {"texts.ratio": -1}, "texts.ratio must be a number 0 or more, not -1"),
    ("generate_numbers", {"channels.mean": [0, 0, 1]}, "channels: it scales binary channels"),
    ("generate_numbers", {"channels.columns": []}, "or reads no column"),
    ("forecast_counts", {"targets": []}, "it has no targets"),
    ("generate_numbers", {"beginnings": []}, "its beginnings are not steps of 3 channels"),
]


@pytest.mark.parametrize(("name", "changed", "said"), HUGE + WRONG)
def test_a_value_that_cannot_be_is_named(name, changed, said, tmp_path):
    model = bundle.load(opened(name, tmp_path))
    document = model.document
    for path, value in changed.items():
        document = edited(document, path.split("."), lambda _, v=value: v)
    bundle.save(tmp_path / "changed", document, model.tensors)
    start = time.perf_counter()
    with pytest.raises(ModelFileError) as caught:
        gatewise.load(tmp_path / "changed")
    assert said in str(caught.value)
    assert str(tmp_path / "changed") in str(caught.value)
    assert time.perf_counter() - start < SOON


@pytest.mark.parametrize(
    ("name", "tensor", "shape"),
    [
        ("classify_number", "baselines.rest", (10, 1)),
        ("classify_sensors", "baselines.bias", (3,)),
        ("detect_both", "data.location", (2,)),
        ("detect_both", "data.scale", (2,)),
        ("generate_numbers", "plain.covariance", (4, 2, 2)),
        ("generate_numbers", "plain.ends", (2, 2)),
        ("generate_numbers", "expected.weights", (3, 2)),
    ],
)
def test_tensors_beside_the_network_are_checked_too(name, tensor, shape, tmp_path):
    model = bundle.load(opened(name, tmp_path))
    halved = {**model.tensors, tensor: model.tensors[tensor][: shape[0] // 2]}
    bundle.save(tmp_path / "changed", model.document, halved)
    with pytest.raises(ModelFileError) as caught:
        gatewise.load(tmp_path / "changed")
    assert f"{tensor} has the shape {(shape[0] // 2, *shape[1:])}, where the model needs {shape}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tensor", "change", "said"),
    [
        ("generate_numbers", "plain.covariance", np.negative, "not positive definite"),
        ("generate_numbers", "plain.chances", np.negative, "plain.chances or plain.ends are not probabilities"),
        ("generate_numbers", "expected.spread", np.zeros_like, "does not know how sequences begin or continue"),
        ("detect_both", "data.scale", np.zeros_like, "data.scale is not above 0"),
        ("detect_both", "data.reference", lambda tensor: tensor[:0], "data.reference is empty"),
    ],
)
def test_their_values_are_checked_where_they_have_to_be(name, tensor, change, said, tmp_path):
    model = bundle.load(opened(name, tmp_path))
    bundle.save(tmp_path / "changed", model.document, {**model.tensors, tensor: change(model.tensors[tensor])})
    with pytest.raises(ModelFileError, match=said):
        gatewise.load(tmp_path / "changed")


def test_counts_of_a_model_whose_weights_are_too_large(tmp_path):
    model = bundle.load(opened("forecast_counts", tmp_path))
    model.tensors["linear"][:] = 1e38
    bundle.save(tmp_path / "changed", model.document, model.tensors)
    story = json.loads((MODELS / "forecast_counts.json").read_text())
    with pytest.raises(ModelFileError, match="the model's forecasts are not numbers"):
        gatewise.load(tmp_path / "changed").predict(story["data"][0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(name, value, tmp_path):
    model = bundle.load(opened(name, tmp_path))
    for tensor in [tensor for tensor, array in model.tensors.items() if array.dtype.kind == "f" and array.size][::7]:
        array = model.tensors[tensor].copy()
        array.reshape(-1)[-1] = value
        bundle.save(tmp_path / "changed", model.document, {**model.tensors, tensor: array})
        with pytest.raises(ModelFileError, match=f"holds weights that are not numbers: '{tensor}'"):
            gatewise.load(tmp_path / "changed")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"options.key": 7}, "options.key is 7, not text or a list or null"),
        ({"options": []}, "options is a list of 0, not an object"),
        ({"sizes.num_layers": 10**12}, "sizes.num_layers must be a whole number"),
        ({"sizes.mixtures": True}, "sizes.mixtures is true, not a whole number"),
        ({"beginnings": [["a", "b", "c"]]}, 'beginnings[0][0] is "a", not a number'),
    ],
)
def test_a_tracer_checks_what_it_reads(changed, said, tmp_path):
    model = bundle.load(opened("generate_numbers", tmp_path))
    document = model.document
    for path, value in changed.items():
        document = edited(document, path.split("."), lambda _, v=value: v)
    with pytest.raises(ModelFileError) as caught:
        Tracer(document, model.tensors)
    assert said in str(caught.value)


def test_results_have_an_end(monkeypatch, tmp_path):
    """Though the training data's longest is said to be endless, and the decoder never ends by itself."""
    for module in ("translate.texts", "caption.predictor"):
        monkeypatch.setattr(f"gatewise.tasks.{module}.MOST_TOKENS", 30)
    endless = {
        "translate_characters": {"texts.longest": 10**9, "texts.ratio": 1e308},
        "caption_images": {"longest": 10**9},
    }
    for name, changed in endless.items():
        model = bundle.load(opened(name, tmp_path))
        document = model.document
        for path, value in changed.items():
            document = edited(document, path.split("."), lambda _, v=value: v)
        model.tensors["output.bias"][-1] = -1e9  # the end
        bundle.save(tmp_path / "changed", document, model.tensors)
        found = gatewise.load(tmp_path / "changed")._predictor()
        story = json.loads((MODELS / f"{name}.json").read_text())
        given = read(story["data"][0], tmp_path)
        data = found.read(given)
        decoded = (
            found.decode(data[0].take([0])) if name == "caption_images" else found.translate(given[:1], Decoding())
        )
        best = decoded[0][0] if name == "caption_images" else decoded[0][0].hypothesis
        assert len(best.tokens) == 30


def check(name, folder, count):
    """Make so many changes of one model, or all, and use what opens."""
    story = json.loads((MODELS / f"{name}.json").read_text())
    model = bundle.load(opened(name, folder))
    changes = list(changes_of(model.document, model.tensors))
    if count is not None:
        changes = random.Random(name).sample(changes, count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for label, make in changes:
        bundle.save(folder / "changed", *make())
        start = time.perf_counter()
        try:
            use(folder / "changed", story, folder)
        except GatewiseError as error:
            if isinstance(error, ModelFileError):  # others may name columns, which may be long
                assert len(str(error)) < 1000, label  # noqa: PT017 - an answer is as good
            assert "\n" not in str(error), label  # noqa: PT017 - an answer is as good
        except Exception as error:
            raise AssertionError(f"{name}, {label}: {type(error).__name__}: {error}") from error
        assert time.perf_counter() - start < SOON, label
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < SMALL


def use(path, story, folder):
    """Show a model, open it, and ask it all that is asked of it in the story."""
    describe(bundle.read_header(path), 80)
    model = gatewise.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what overflows with weights that are large, but finite
        for asked in story["asked"]:
            plain(ask(model, asked["ask"], story["data"][asked["of"]], asked["options"], folder))
        if "channels" in bundle.read_header(path).document and story["task"] == "generate":
            list(Tracer.load(path).trace(length=5, seed=1))
        elif story["task"] == "generate":
            writer = Writer.load(path)
            list(writer.write("", 5, Sampler(seed=1, forbidden=writer.forbidden)))


def changes_of(document, tensors):
    """What is changed, and a function that gives the document and the tensors then."""
    for path in places(document):
        found = at(document, path)
        for value in NASTY:
            yield f"{path} = {value!r:.40}", lambda p=path, v=value: (edited(document, p, lambda _: v), tensors)
        yield f"{path} dropped", lambda p=path: (without(document, p), tensors)
        if isinstance(found, list) and found:
            for what, change in LISTS.items():
                yield f"{path} {what}", lambda p=path, c=change: (edited(document, p, c), tensors)
        if isinstance(found, dict):
            yield f"{path} extended", lambda p=path: (edited(document, p, lambda own: {**own, "more": 1}), tensors)
        if type(found) is int:
            yield f"{path} + 1", lambda p=path: (edited(document, p, lambda own: own + 1), tensors)
    for name, tensor in tensors.items():
        others = {other: own for other, own in tensors.items() if other != name}
        yield f"{name} dropped", lambda o=others: (document, o)
        for what, change in TENSORS.items():
            if tensor.dtype.kind == "f" or what not in ("negative", "large"):
                changed = lambda n=name, o=others, c=change: (document, {**o, n: c(tensors[n])})  # noqa: E731 - of this turn
                yield f"{name} {what}", changed
    yield "one more tensor", lambda: (document, {**tensors, "more": np.zeros(3, np.float32)})


def places(value, path=()):
    """The paths to all that is read of a document; of long lists to the first two items and the last."""
    if path:
        yield path
    if path == ("training", "metrics"):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if (*path, key) not in {("format",), ("sha256",), ("training", "versions")}:
                yield from places(item, (*path, key))
    elif isinstance(value, list):
        for place in sorted({0, 1, len(value) - 1} & {*range(len(value))}):
            yield from places(value[place], (*path, place))


def at(document, path):
    for key in path:
        document = document[key]
    return document


def edited(document, path, change):
    found = copy.deepcopy(document)
    at(found, path[:-1])[path[-1]] = change(at(found, path))
    return found


def without(document, path):
    found = copy.deepcopy(document)
    del at(found, path[:-1])[path[-1]]
    return found
