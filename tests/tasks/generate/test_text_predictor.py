"""A trained model that writes: the laws of going on, and files that no model of ours wrote."""

import copy
import io
import json
from contextlib import suppress

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from gatewise import bundle
from gatewise.decoding import Sampler
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text.predictor import Writer


@pytest.fixture
def writer(model_file):
    return Writer.load(model_file)


@pytest.fixture(scope="module")
def worded(rhyme, tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "words.gatewise"
    options = {"hidden_size": 12, "epochs": 3, "batch_size": 2, "chunk_length": 16, "learning_rate": 0.05}
    Generator(tokens="words", **options).fit(io.StringIO(rhyme + 'He said "no". '), output=path)
    return path


def test_greedy_writing_is_that_of_torch(trained, writer):
    ids = trained.vocabulary_.encode("Peter Piper ")
    with torch.no_grad():
        scores, state = trained.model_(torch.from_numpy(ids)[:, None])
        want = []
        for _ in range(120):
            want.append(int(scores[-1, 0].argmax()))
            scores, state = trained.model_(torch.tensor([[want[-1]]]), state)
    assert "".join(writer.write("Peter Piper ", 120, Sampler(0))) == trained.vocabulary_.decode(want)


def test_an_empty_prompt_begins_as_a_line_does(trained, writer):
    first = "".join(writer.write("", 60, Sampler(0)))
    line_end = trained.vocabulary_.encode("\n").tolist()
    assert trained.start_ == line_end[0]
    again = trained.writer()
    assert "".join(again.write("\n", 60, Sampler(0))) == first
    assert first.split()[0] in ("A", "If", "Peter", "where's")


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_any_system_are_read_as_those_of_files(writer, model_file, end):
    wanted = "".join(writer.write("Peter\nPiper\n", 20, Sampler(0)))
    assert "".join(Writer.load(model_file).write(f"Peter{end}Piper{end}", 20, Sampler(0))) == wanted


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_two_calls_are_one(kind, model_file, worded):
    path = model_file if kind == "characters" else worded
    whole = "".join(Writer.load(path).write("A peck ", 90, Sampler(1.0, seed=5)))
    writer, sampler = Writer.load(path), Sampler(1.0, seed=5, forbidden=Writer.load(path).forbidden)
    parts = ["".join(writer.write("A peck ", 1, sampler))]
    parts += ["".join(writer.write("", length, sampler)) for length in (1, 30, 2, 56)]
    if kind == "words":  # `whole` had no sampler that knows what is forbidden
        whole = "".join(
            Writer.load(path).write("A peck ", 90, Sampler(1.0, seed=5, forbidden=Writer.load(path).forbidden))
        )
    assert "".join(parts) == whole


def test_reading_first_is_a_prompt(writer, model_file):
    writer.push("If Peter ")
    writer.push("Piper")
    want = "".join(Writer.load(model_file).write("If Peter Piper", 50, Sampler(0)))
    assert "".join(writer.write("", 50, Sampler(0))) == want


def test_pieces_come_one_by_one(writer):
    pieces = writer.write("A ", 10**9, Sampler(1.0))
    assert [len(next(pieces)) for _ in range(20)] == [1] * 20


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_a_state_can_be_kept_in_a_file(kind, model_file, worded, tmp_path):
    path = model_file if kind == "characters" else worded
    first = Writer.load(path)
    written = "".join(first.write("A peck", 33, Sampler(0, forbidden=first.forbidden)))
    first.save_state(tmp_path / "state")
    second = Writer.load(path)
    second.load_state(tmp_path / "state")
    written += "".join(second.write("", 40, Sampler(0, forbidden=second.forbidden)))
    whole = Writer.load(path)
    assert written == "".join(whole.write("A peck", 73, Sampler(0, forbidden=whole.forbidden)))
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_states_that_are_not_its_own(writer, worded, tmp_path):
    other = Writer.load(worded)
    "".join(other.write("", 3))
    other.save_state(tmp_path / "other")
    with pytest.raises(ModelFileError, match=r"is not the state|is the state of another model"):
        writer.load_state(tmp_path / "other")
    assert writer.state is None

    "".join(writer.write("A ", 3))
    kept = writer.state
    writer.save_state(tmp_path / "state")
    tensors, told = load_file(tmp_path / "state"), {"gatewise_state": json.dumps(writer.language_model.digest)}
    V, float64 = len(writer.vocabulary), tensors["scores"].astype(np.float64)
    for change, metadata in [
        ({}, {"gatewise_state": json.dumps("another digest")}),
        ({}, {"gatewise_state": "not json"}),
        ({}, {"gatewise_state": "[" * 100_000}),
        ({}, {"other": "x"}),
        ({}, None),
        ({"scores": np.zeros(V + 1, np.float32)}, told),
        ({"scores": float64}, told),
        ({"0.0": np.zeros(5, np.float32)}, told),
        ({"0.1": None}, told),
        ({"recent": np.array([V])}, told),
        ({"recent": np.array([-1])}, told),
        ({"recent": np.array(3)}, told),
        ({"recent": np.zeros((2, 2))}, told),
        ({"recent": np.array([np.nan])}, told),
        ({"recent": None}, told),
    ]:
        mixed = {n: t for n, t in (tensors | change).items() if t is not None}
        save_file(mixed, tmp_path / "mixed", metadata)
        with pytest.raises(ModelFileError, match=r"is the state of another model|is not the state"):
            writer.load_state(tmp_path / "mixed")
    raw = (tmp_path / "state").read_bytes()
    for damaged in (b"", b"hello", raw[:100], raw[:-1], raw + b"x"):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ModelFileError, match="is not the state of a text"):
            writer.load_state(tmp_path / "damaged")
    for path in (tmp_path, "/dev/zero"):
        with pytest.raises(ModelFileError, match="is not the state of a text"):
            writer.load_state(path)
    assert writer.state is kept


def test_a_state_that_cannot_be_written(writer, tmp_path):
    with pytest.raises(OptionError, match="nothing was read yet"):
        writer.save_state(tmp_path / "state")
    writer.push("A ")
    with pytest.raises(OptionError, match=r"cannot write the state to '.*none/state': No such file"):
        writer.save_state(tmp_path / "none" / "state")


def test_characters_it_never_saw(writer, model_file):
    with pytest.raises(DataError, match="'ü', 'ß'"):
        next(writer.write("füß", 5))
    assert writer.state is None
    found = "".join(writer.write("If Petüer", 20, Sampler(0), unknown="skip"))
    assert found == "".join(Writer.load(model_file).write("If Peter", 20, Sampler(0)))
    with pytest.raises(OptionError, match="unknown is 'maybe'"):
        next(writer.write("A", 5, unknown="maybe"))


def test_stopping(model_file):
    whole = "".join(Writer.load(model_file).write("If ", 100, Sampler(0)))
    stop = whole[40:44]
    assert "".join(Writer.load(model_file).write("If ", 100, Sampler(0), stop)) == whole[: whole.index(stop)]
    assert "".join(Writer.load(model_file).write("If ", 100, Sampler(0), "never")) == whole


@pytest.mark.parametrize("length", [1, 2, 257])
def test_length(writer, length):
    assert len("".join(writer.write("A ", length))) == length


@pytest.mark.parametrize("length", [0, -3, 1.5, True, "a", None])
def test_impossible_lengths(writer, length):
    with pytest.raises(OptionError, match="length must be a whole number, 1 or more, not"):
        next(writer.write("A ", length))


def test_words_are_spaced_like_print(worded):
    writer = Writer.load(worded)
    assert writer.forbidden == [0, 1]
    piece = next(writer.write("peck of", 1, Sampler(0, forbidden=[0, 1])))
    assert piece.startswith(" ")
    assert not next(writer.write("peck of ", 1, Sampler(0, forbidden=[0, 1]))).startswith(" ")
    after_line_end = next(Writer.load(worded).write("peppers.\n", 1, Sampler(0, forbidden=[0, 1])))
    assert not after_line_end.startswith(" ")


# --- models that no Gatewise wrote ------------------------------------------------------------------------------------


def without(key, *, inside=()):
    def change(document, tensors):
        place = document
        for part in inside:
            place = place[part]
        del place[key]

    return change


def put(value, *path):
    def change(document, tensors):
        place = document
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return change


def tensor(name, function):
    def change(document, tensors):
        tensors[name] = function(tensors[name])

    return change


def drop(name):
    return lambda document, tensors: tensors.pop(name)


WEIGHTS = ["embedding.weight", "output.bias", "layers.weight_ih_l0", "layers.weight_hh_l0"]
ODD = [None, 3, -1, 1.5, "x", [], {}, True, 1e300, float("inf"), 2**70, [[]], {"kind": "characters"}]
HOSTILE = {
    **{f"no {key}": without(key) for key in ("task", "vocabulary", "cell", "sizes", "start")},
    "no num_layers": without("num_layers", inside=["sizes"]),
    "no characters": without("characters", inside=["vocabulary"]),
    **{f"no cell {k}": without(k, inside=["cell"]) for k in ("nodes", "after", "carry", "parameters", "pack", "name")},
    **{f"{key}={value!r:.20}": put(value, key) for key in ("task", "vocabulary", "cell", "sizes") for value in ODD},
    **{f"start={value!r:.20}": put(value, "start") for value in (None, -1, "x", [], {}, float("inf"), 2**70)},
    **{f"layers={value!r:.20}": put(value, "sizes", "num_layers") for value in (None, 2, "x", [], {}, float("inf"))},
    **{f"nodes={value!r:.20}": put(value, "cell", "nodes") for value in ODD},
    "fewer characters": put("abc", "vocabulary", "characters"),
    "unsorted characters": put("cba", "vocabulary", "characters"),
    "another kind": put("words", "vocabulary", "kind"),
    "another cell": lambda document, tensors: document.update(cell=CELLS["gru"]),
    "a projected cell": lambda document, tensors: document.update(cell=CELLS["lstmp"]),
    **{f"without {name}": drop(name) for name in WEIGHTS},
    **{f"{name} cut": tensor(name, lambda t: t[:-1].copy()) for name in WEIGHTS},
    **{f"{name} longer": tensor(name, lambda t: np.concatenate([t, t])) for name in WEIGHTS},
    **{f"{name} flat": tensor(name, lambda t: t.reshape(-1)[:, None].copy()) for name in WEIGHTS},
    **{f"{name} a number": tensor(name, lambda t: t.reshape(-1)[0].copy()) for name in WEIGHTS},
    **{f"{name} empty": tensor(name, lambda t: t[:0].copy()) for name in WEIGHTS},
    **{f"{name} thick": tensor(name, lambda t: t[None].copy()) for name in WEIGHTS},
    "embedding of text": tensor("embedding.weight", lambda t: np.full(t.shape, "x")),
    **{
        f"{name}={value}": put(value, "sizes", name)
        for name, value in (("hidden_size", 10**9), ("embedding_size", 10**9), ("proj_size", 7))
    },
    "one more tensor": lambda document, tensors: tensors.update(more=np.zeros(3, np.float32)),
    "wide embedding": tensor("embedding.weight", lambda t: t.astype(np.float64)),
}


def cell_json(name):
    from gatewise import cells

    return cells.find(name).to_json()


CELLS = {name: cell_json(name) for name in ("gru", "lstmp")}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_documents_and_weights_that_do_not_fit(change, model_file):
    found = bundle.load(model_file)
    document, tensors = copy.deepcopy(found.document), dict(found.tensors)
    change(document, tensors)
    with pytest.raises(ModelFileError) as caught:
        Writer(document, tensors)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("change", [name for name in HOSTILE if name.partition("=")[0].endswith("_size")])
def test_the_estimator_refuses_sizes_that_do_not_fit_too(change, model_file, tmp_path):
    found = bundle.load(model_file)
    document, tensors = copy.deepcopy(found.document), dict(found.tensors)
    HOSTILE[change](document, tensors)
    bundle.save(tmp_path / "model", document, tensors)
    with pytest.raises(ModelFileError, match="incomplete or contradicts itself"):
        Generator.load(tmp_path / "model")


@pytest.mark.parametrize(
    "change",
    [
        without("options"),
        without("training"),
        without("metrics", inside=["training"]),
        without("data", inside=["training"]),
        *(put(value, "training") for value in (None, 3, "x", [])),
        *(put(value, "options") for value in (None, 3, "x", [], {"hiden_size": 3})),
        *(put(value, "options", "split") for value in (None, "x", [1])),
        put("x", "options", "variational_dropout"),
        put("x", "sizes", "dropout"),
        without("tied", inside=["sizes"]),
        put(False, "sizes", "tied"),
        put(None, "sizes", "dropout"),
        put(1, "sizes", "surprise"),
    ],
)
def test_what_only_training_needs_is_checked_by_the_estimator(change, model_file, tmp_path):
    found = bundle.load(model_file)
    document, tensors = copy.deepcopy(found.document), dict(found.tensors)
    change(document, tensors)
    bundle.save(tmp_path / "model", document, tensors)
    with pytest.raises(ModelFileError, match="incomplete or contradicts itself") as caught:
        Generator.load(tmp_path / "model")
    assert "\n" not in str(caught.value)
    Writer.load(tmp_path / "model")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
def test_weights_that_are_no_numbers_are_told_when_writing(value, model_file):
    found = bundle.load(model_file)
    for name in WEIGHTS:
        tensors = {n: np.full_like(t, value) if n == name else t for n, t in found.tensors.items()}
        writer = Writer(found.document, tensors)
        with suppress(DataError, OptionError):  # which says so: NaN, or no token that could be
            assert len("".join(writer.write("A ", 3))) == 3
    damaged = {n: np.full_like(t, np.nan) for n, t in found.tensors.items() if t.dtype.kind == "f"}
    with pytest.raises(DataError, match="Its weights or its state are damaged"):
        "".join(Writer(found.document, damaged).write("A ", 3))


def test_another_task(model_file):
    found = bundle.load(model_file)
    with pytest.raises(ModelFileError, match="the model's task is 'tag', but only 'generate' writes"):
        Writer(found.document | {"task": "tag"}, found.tensors)
