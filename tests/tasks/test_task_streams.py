"""Many streams of a model of each task: each answers as if it were alone, in one piece or in many."""

import json
import random

import numpy as np
import pytest
from test_without_torch import child

from gatewise.data.readers.arrays import from_arrays
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.tasks import Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, Translator, load
from gatewise.tasks.generate.numbers.stream import Following

RNG = np.random.default_rng(7)


def series(count, steps, channels):
    """Waves with noise, some values missing."""
    at = np.arange(steps)[:, None] / 5 + RNG.uniform(0, 6, (count, 1, channels))
    x = np.sin(at) + 0.1 * RNG.standard_normal((count, steps, channels))
    x[RNG.random(x.shape) < 0.02] = np.nan
    return x


SMALL = {"hidden_size": 8, "epochs": 1, "threads": 1, "batch_size": 4}


def detector(**options):
    return Detector(**SMALL, window=16, **options).fit(series(1, 500, 3)[0]), [*series(4, 60, 3)]


def tagger(words=False, several=False, **options):
    x = np.nan_to_num(series(6, 40, 2))
    y = [np.where(own[:, 0] > 0, "up", "down").tolist() for own in x]
    if words:
        x = [np.where(own[:, 1] > 0, "Anna", "sees") for own in x]
    if several:
        y = np.cumsum(x, 1)
    data = from_arrays(list(x), y, per_step=True)
    model = Tagger(**SMALL, bidirectional=False, crf=False, normalise=False, **options).fit(data)
    return model, [*x]


def forecaster(calendar=False, targets=("y",), **options):
    at = (np.datetime64("2024-01-01T00:00") + np.arange(400) * np.timedelta64(1, "h")).astype(str)
    columns = [*targets, *(["w"] if options.get("mode") != "autoregressive" else []), *(["at"] if calendar else [])]
    tables = []
    for x in series(4, 400, 3):
        tables.append({"y": x[:, 0], "z": x[:, 1], "w": np.where(x[:, 2] > 0, "on", "off"), "at": at})
    rows = [dict(zip(tables[0], row, strict=True)) for row in zip(*tables[0].values(), strict=True)]
    covariates = ("w",) if "w" in columns else ()
    model = Forecaster(
        **SMALL,
        horizon=4,
        context_length=12,
        target=targets,
        time="at",
        calendar=calendar,
        past_covariates=covariates,
        **options,
    ).fit(rows)
    return model, [np.array([own[name][:60] for name in columns], object).T for own in tables[1:]]


def transcriber(**options):
    rng, x, texts = np.random.default_rng(1), [], []
    for _ in range(20):
        letters = rng.integers(0, 3, rng.integers(1, 5))
        steps = [row for letter in letters for row in [np.eye(3)[letter]] * 3 + [np.zeros(3)] * 2]
        x.append((np.array(steps) + 0.1 * rng.normal(size=(len(steps), 3))).astype(np.float32))
        texts.append("".join("ack"[letter] for letter in letters))
    sizes = {**SMALL, "epochs": 15, "learning_rate": 0.02, "num_layers": 1, "frame_stacking": 2}
    model = Transcriber(**sizes, bidirectional=False, **options).fit(x, texts)
    return model, [np.concatenate(x[first : first + 3]) for first in range(0, 12, 3)]


def classifier(long=False, **options):
    x = np.nan_to_num(series(60, 30, 2))
    x[::2] += 0.5
    y = np.where(np.arange(60) % 2, "low", "high")
    given = [*x[:4]]
    if long:
        x = np.repeat(x, 40, axis=1)
        given = [*x[:3, :300]]
    options = {"pooling": ("last", "mean", "max", "attention"), **options}
    model = Classifier(**SMALL, bidirectional=False, share=1.0, **options).fit(x, y)
    return model, given


def default_classifier():
    x = np.nan_to_num(series(60, 30, 2))
    x[::2] += 0.5
    return Classifier(**SMALL, share=0.5).fit(x, np.where(np.arange(60) % 2, "low", "high")), [*x[:4]]


def generator():
    x = [own[:, :2] for own in np.nan_to_num(series(30, 30, 3))]
    model = Generator(**SMALL, mixtures=2).fit([np.column_stack([own, own[:, 0] > 0]) for own in x])
    return model, [np.column_stack([own, own[:, 0] > 0]) for own in x[:4]]


SO_FAR = {"generate", "forecast", "classify", "transcribe"}
MODELS = {
    "detect": lambda: detector(),
    "detect both": lambda: detector(method="both", cell="gru"),
    "detect windows": lambda: detector(method="reconstruction"),
    "detect plain": lambda: detector(only="plain"),
    "detect matrices": lambda: detector(cell="mlstm"),
    "generate numbers": generator,
    "tag numbers": lambda: tagger(share=0.5),
    "tag words": lambda: tagger(words=True),
    "tag several": lambda: tagger(several=True, num_layers=2, share=1.0),
    "tag plain": lambda: tagger(only="plain"),
    "forecast": lambda: forecaster(share=0.5),
    "forecast by the calendar": lambda: forecaster(calendar=True, targets=("y", "z"), share=1.0),
    "forecast paths": lambda: forecaster(mode="autoregressive", head="gaussian", samples=20, share=1.0),
    "classify": lambda: classifier(),
    "classify long": lambda: classifier(long=True, num_layers=2),
    "classify anew": default_classifier,
    "transcribe": lambda: transcriber(),
    "forecast plain": lambda: forecaster(only="plain"),
}


@pytest.fixture(scope="module", params=MODELS)
def file(request, tmp_path_factory):
    """A model file, and inputs for streams of the model, whose slices are pieces."""
    model, inputs = MODELS[request.param]()
    path = tmp_path_factory.mktemp("models") / "model.gatewise"
    model.save(path)
    return path, inputs


@pytest.fixture(scope="module")
def made(file):
    path, inputs = file
    return load(path), inputs


def joined(answers, so_far):
    """Answers to pieces as that to all of them, which is the last one where answers are about all steps so far."""
    if so_far:
        return answers[-1]
    if isinstance(answers[-1], dict):
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[-1]}
    return np.concatenate(answers)


def same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    elif isinstance(one, Following):
        np.testing.assert_array_equal(one.output, other.output)
        np.testing.assert_array_equal(one.expected, other.expected)
    else:
        np.testing.assert_array_equal(one, other)


def alone(streams, given, cuts=()):
    """Answers to one input that is pushed by itself."""
    stream = streams.open()
    found = [streams.push({stream: piece})[stream] for piece in np.split(given, cuts)]
    rest = streams.finish(stream)
    streams.close(stream)
    return found if rest is None else [*found, rest]


def test_any_schedule_answers_each_as_alone(made):
    model, inputs = made
    streams, chance = model.streams(), random.Random(3)
    assert streams.task == model.task
    waiting = [*range(len(inputs))] * 2
    at, read, answers = {}, {}, {}
    while waiting or at:
        if waiting and (not at or chance.random() < 0.5):
            stream = streams.open()
            at[stream], read[stream], answers[stream] = waiting.pop(), 0, []
        pieces = {}
        for stream, number in at.items():
            if chance.random() < 0.7:
                end = read[stream] + chance.randint(1, 12)
                pieces[stream] = inputs[number][read[stream] : end]
                read[stream] = end
        for stream, answer in streams.push(pieces).items():
            answers[stream].append(answer)
        for stream in [stream for stream in pieces if read[stream] >= len(inputs[at[stream]])]:
            rest = streams.finish(stream)
            whole = alone(model.streams(), inputs[at.pop(stream)])
            found = [*answers[stream], *([] if rest is None else [rest])]
            same(*(joined(each, model.task in SO_FAR) for each in (found, whole)))
            streams.close(stream)
    assert len(streams) == 0


def test_streams_in_step_answer_each_as_alone(made):
    model, inputs = made
    streams, cuts = model.streams(), [12, 13, 14, 15, 20]
    ids = [streams.open() for _ in inputs]
    pieces = zip(*(np.split(given, cuts) for given in inputs), strict=True)
    together = [streams.push(dict(zip(ids, some, strict=True))) for some in pieces]
    for stream, given in zip(ids, inputs, strict=True):
        rest = streams.finish(stream)
        found = [*(answers[stream] for answers in together), *([] if rest is None else [rest])]
        for one, other in zip(found, alone(model.streams(), given, cuts), strict=True):
            same(one, other)


def test_snapshots_forks_and_resets(made):
    model, inputs = made
    streams = model.streams()
    one = streams.open()
    begun = streams.snapshot(one)
    first, second = np.split(inputs[0], [25])
    want = [streams.push({one: first})[one]]
    kept, branch = streams.snapshot(one), streams.fork(one)
    want.append(streams.push({one: second})[one])
    assert streams.snapshot(branch) == kept
    same(streams.push({branch: second})[branch], want[1])
    again = streams.restore(kept)
    same(streams.push({again: second})[again], want[1])
    assert streams.snapshot(again) == streams.snapshot(one)
    for stream in (streams.restore(begun), one):
        streams.reset(stream)
        same(streams.push({stream: first})[stream], want[0])
        assert streams.snapshot(stream) == kept


def test_what_is_no_piece_changes_no_stream(made):
    model, inputs = made
    streams = model.streams()
    one, other = streams.open(), streams.open()
    streams.push({one: inputs[0][:9], other: inputs[1][:9]})
    before = [streams.snapshot(stream) for stream in (one, other)]
    wrong = [np.zeros((2, 1000)), inputs[0][:0]]
    if inputs[0].dtype.kind == "f":  # not words
        wrong += [object(), "Ω\n", np.full(inputs[0][:1].shape, np.inf)]
    if model.task == "transcribe":  # its steps may be incomplete
        del wrong[1]
    for piece in wrong:
        with pytest.raises(DataError) as caught:
            streams.push({one: inputs[0][9:12], other: piece})
        assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="there is no stream 99"):
        streams.push({one: inputs[0][9:12], 99: inputs[0][:1]})
    assert [streams.snapshot(stream) for stream in (one, other)] == before


def test_what_is_no_snapshot_of_this_model_opens_no_stream(made):
    from safetensors.numpy import load as arrays_of
    from safetensors.numpy import save

    model, inputs = made
    streams = model.streams()
    one = streams.open()
    streams.push({one: inputs[0][:9]})
    data = streams.snapshot(one)
    for damaged in (b"", data[:-1], data + b"x"):
        with pytest.raises(ValueError, match="not a state"):
            streams.restore(damaged)
    arrays = arrays_of(data)
    key = {"gatewise_state": f'"{streams.digest}"'}
    forged = [{name: array for name, array in arrays.items() if name != gone} for gone in arrays]
    forged += [{**arrays, "more": np.zeros(3)}]
    forged += [{**arrays, name: np.zeros(array.shape, np.float16)} for name, array in arrays.items()]
    forged += [{**arrays, name: np.repeat(array[None], 3, 0)} for name, array in arrays.items()]
    for other in forged:
        with pytest.raises(ModelFileError, match="the state is of another model"):
            streams.restore(save(other, metadata=key))
    with pytest.raises(ModelFileError, match="the state is of another model"):
        streams.restore(save(arrays, metadata={"gatewise_state": '"another"'}))
    assert len(streams) == 1


@pytest.mark.parametrize(
    "file", ["detect both", "tag words", "forecast by the calendar", "transcribe", "classify"], indirect=True
)
def test_another_process_without_torch_goes_on(file, tmp_path):
    path, inputs = file
    streams = load(path).streams()
    one = streams.open()
    streams.push({one: inputs[0][:25]})
    (tmp_path / "kept").write_bytes(streams.snapshot(one))
    (tmp_path / "piece").write_text(json.dumps([inputs[0].dtype.str, inputs[0][25:].tolist()]))
    child(f"""
import numpy as np
folder = Path({str(tmp_path)!r})
streams = gatewise.load({str(path)!r}).streams()
one = streams.restore((folder / "kept").read_bytes())
kind, rows = json.loads((folder / "piece").read_text())
streams.push({{one: np.array(rows, kind)}})
(folder / "after").write_bytes(streams.snapshot(one))
""")
    streams.push({one: inputs[0][25:]})
    assert (tmp_path / "after").read_bytes() == streams.snapshot(one)


def test_a_task_that_reads_wholes_says_so():
    translator = Translator(epochs=0.1, hidden_size=8, threads=1)
    texts = [f"{k % 7} and {k}" for k in range(60)]
    translator.fit(texts, [text.replace("and", "und") for text in texts])
    with pytest.raises(OptionError, match="a model of the task 'translate' has to read its input whole"):
        translator.streams()
