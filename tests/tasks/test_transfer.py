"""`fit(start_from=...)`: a model goes on learning, with the weights of another one in their places."""

import io
import random
import signal

import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import strategies as st
from sklearn.base import clone

from gatewise import Captioner, Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, Translator
from gatewise.data.datasets.scenes import scenes
from gatewise.errors import ModelFileError, NotFittedError, OptionError
from gatewise.tasks.classify.transfer import VECTOR_SIZE, VECTOR_WIDTH
from gatewise.tasks.generate.text.network import LanguageModel
from gatewise.tasks.transfer import Kept, Start

TINY = {"hidden_size": 8, "num_layers": 1, "epochs": 1.0}
STILL = {"epochs": 1.0, "learning_rate": 1e-30}  # so low that no weight changes


def writing(letters="aent i.\n", seed=0):
    draw = random.Random(seed)
    return io.StringIO("".join(draw.choices(letters, k=1500)))


def words(names="red old big cat dog sat ran the", seed=0):
    draw = random.Random(seed)
    return io.StringIO("\n".join(" ".join(draw.choices(names.split(), k=6)) for _ in range(200)))


def reviews(seed=0, classes=("bad", "good"), extra=""):
    draw = random.Random(seed)
    y = [classes[k % len(classes)] for k in range(60)]
    return [f"the {draw.choice(('red', 'old'))} {label} film {extra} sat" for label in y], y


def sentences(names="Ann Bob sat in York here", seed=0):
    draw = random.Random(seed)
    x = [draw.choices(names.split(), k=draw.randint(2, 6)) for _ in range(40)]
    return x, [["P" if word[0].isupper() else "O" for word in one] for one in x]


def wave(period=3.0, seed=0):
    return (5 + np.sin(np.arange(200) / period) + np.random.default_rng(seed).normal(size=200) / 10)[None]


def channels(count=2):
    t = np.arange(400)[:, None]
    return np.sin(2 * np.pi * t / np.array([20, 27, 31])[:count]) + np.random.default_rng(0).normal(size=(400, count))


def pairs(digits="0123", seed=0):
    draw = random.Random(seed)
    some = [draw.choices(digits, k=draw.randint(1, 4)) for _ in range(60)]
    return [" ".join(one) for one in some], [" ".join(one[::-1]) for one in some]


def signals(letters="ack", seed=0):
    rng = np.random.default_rng(seed)
    some = [rng.integers(0, 3, rng.integers(1, 4)) for _ in range(40)]
    x = [np.repeat(np.eye(3)[one], 5, 0) + 0.1 * rng.normal(size=(5 * len(one), 3)) for one in some]
    return x, ["".join(letters[k] for k in one) for one in some]


def steps(count=2):
    rng = np.random.default_rng(0)
    return [np.cumsum(rng.normal(size=(20, count)), 0).round(3) for _ in range(24)]


def pictures():
    return (scenes(24, references=1),)


# Task -> estimator, its options beside `TINY`, the data of the model, other data, and weights that are new in part.
TASKS = {
    "generate": (Generator, {"embedding_size": 4}, (writing(),), (writing("aent io.\n!", 1),), {"embedding", "output"}),
    "numbers": (Generator, {"mixtures": 2}, (steps(),), (steps(3),), {"layers", "output"}),
    "classify": (
        *(Classifier, {"embedding_size": 4, "ensemble": 2}, reviews(), reviews(1, ("bad", "good", "fine"), "new")),
        {"words", "letters", "output"},
    ),
    "tag": (
        *(Tagger, {"embedding_size": 4, "char_hidden_size": 3}, sentences(), sentences("Anna Eve ran into Bath", 1)),
        {"words.0.letters", *(f"words.0.parts.{place}" for place in (0, 2, 3, 4))},
    ),
    "forecast": (
        *(Forecaster, {"horizon": 3, "season_length": 6, "context_length": 12}, (wave(),), (wave(4.0, 1),)),
        set(),
    ),
    "detect": (Detector, {"method": "both", "history": 100, "window": 16}, (channels(),), (channels(3),), None),
    "translate": (Translator, {"embedding_size": 4}, pairs(), pairs("012345", 1), set()),
    "transcribe": (Transcriber, {}, signals(), signals("abc", 1), {"output"}),
    "caption": (Captioner, {"embedding_size": 4, "channels": 8}, pictures(), None, None),
}


def fitted(task, **options):
    kind, own, data, _, _ = TASKS[task]
    return kind(**TINY, **{**own, **options}, seed=1).fit(*map(again, data))


def again(data):
    return io.StringIO(data.getvalue()) if isinstance(data, io.StringIO) else data


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files of a model of each task."""
    folder = tmp_path_factory.mktemp("models")
    for task in TASKS:
        fitted(task).save(folder / task)
    return folder


def weights(model):
    return {name: tensor.clone() for name, tensor in model.model_.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("task", TASKS)
def test_on_the_same_data_nothing_is_new(models, task):
    kind, own, data, _, _ = TASKS[task]
    given = {name: value for name, value in own.items() if name in ("horizon", "season_length", "history", "window")}
    before = kind.load(models / task)
    after = kind(**given, **STILL, seed=1).fit(*map(again, data), start_from=models / task)
    if task == "caption":  # batches are normalised by running means, which no gradient moves
        means = {name: own for name, own in weights(before).items() if ".running_" in name or "num_batches" in name}
        after.model_.load_state_dict({**weights(after), **means})
    assert "new" not in after.provenance_["from"]["weights"]
    assert "(" not in after.provenance_["from"]["weights"]
    assert same(weights(before), weights(after))
    assert after.provenance_["from"]["sha256"] == before._digest
    assert vars(after.sizing_ if hasattr(after, "sizing_") else after.numbers_.sizing)["hidden_size"] == 8


@pytest.mark.parametrize("task", [task for task, row in TASKS.items() if row[3] is not None])
def test_on_other_data_old_places_keep_their_weights(models, task):
    kind, own, _, data, partly = TASKS[task]
    given = {name: value for name, value in own.items() if name in ("horizon", "season_length", "history", "window")}
    before = kind.load(models / task)
    after = kind(**given, **STILL, seed=1).fit(*map(again, data), start_from=before)
    old, new, axes = weights(before), weights(after), after._axes()
    kept = Kept()
    whole = Start("", "", "", {name: array.numpy() for name, array in old.items()}, before._axes(), {})
    for name, tensor in new.items():
        if name not in after._recomputed:
            found = whole._fitted(name, tensor.numpy(), axes, False, kept)
            assert np.array_equal(found, tensor.numpy()), name  # what has a place is there already
    if partly is not None:
        short = {name.rpartition(".")[0].removeprefix("members.0.").removeprefix("members.1.") for name in kept.partly}
        assert short == partly


def test_rows_are_found_by_the_names_of_tokens(models):
    before = Generator.load(models / "generate")
    after = Generator(**STILL).fit(writing("aent io.\n!", 1), start_from=models / "generate")
    old, new = before.vocabulary_.characters, after.vocabulary_.characters
    assert (old, new) == ("\n .aeint", "\n !.aeinot")
    for row, letter in enumerate(new):
        for name in ("embedding.weight", "output.weight", "output.bias"):
            was, now = before.model_.state_dict()[name], after.model_.state_dict()[name]
            expected = was[old.index(letter)] if letter in old else was.mean(0)
            torch.testing.assert_close(now[row], expected, rtol=1e-6, atol=1e-7)


def test_old_words_are_answered_as_before(models):
    """The scores of the tokens that the model knew, to the last bit."""
    before = Generator.load(models / "generate")
    after = Generator(**STILL).fit(writing("aent io.\n!", 1), start_from=models / "generate")
    places = [after.vocabulary_.characters.index(letter) for letter in before.vocabulary_.characters]
    for text in ("a", "ten ant", "\n."):
        old, new = (scores_after(model, text) for model in (before, after))
        np.testing.assert_array_equal(old, new[places])


def scores_after(model, text):
    streams = model.streams()
    stream = streams.open()
    return streams.push({stream: text})[stream]


NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


@drawn(NAMES, NAMES, NAMES, NAMES)
def test_a_matrix_is_matched_by_the_names_of_both_axes(rows, columns, old_rows, old_columns):
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(len(old_rows), len(old_columns))), rng.normal(size=(len(rows), len(columns)))
    start = Start(None, "", "", {"w": old}, {"w": {0: old_rows, 1: old_columns}}, {})
    kept = Kept()
    found = start._fitted("w", new, {"w": {0: rows, 1: columns}}, False, kept)
    both = {*rows} & {*old_rows} and {*columns} & {*old_columns}
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            known = both and row in old_rows and column in old_columns
            wanted = old[old_rows.index(row), old_columns.index(column)] if known else new[i, j]
            assert found[i, j] == wanted
    assert bool(kept.new) == (not both)


def test_the_default_rate_is_a_third_and_a_given_one_counts(models):
    start, plain = models / "generate", Generator(**TINY).fit(writing())
    model = Generator(**TINY).fit(writing(), start_from=start)
    assert model.sizing_.learning_rate == pytest.approx(plain.sizing_.learning_rate / 3)
    given = Generator(**TINY, learning_rate=0.5).fit(writing(), start_from=start)
    assert given.sizing_.learning_rate == 0.5
    assert model.fit(writing()).sizing_ == plain.sizing_  # what was taken from a model is given back


def test_what_is_not_better_leaves_the_model_as_it_was(models, capfd):
    before = Generator.load(models / "generate")
    # A rate at which it diverges from the first step on.
    after = Generator(epochs=1.0, learning_rate=10.0).fit(writing(), start_from=models / "generate", verbose=1)
    assert same(weights(before), weights(after))
    assert after.outcome_.best_step == 0
    assert after.outcome_.best_loss == pytest.approx(after.metrics_["validation"]["loss"])
    assert "those weights are kept" in capfd.readouterr().err


def test_frozen_parts_keep_their_bits(models):
    before = Generator.load(models / "generate")
    after = Generator(epochs=2.0, learning_rate=0.01, freeze="embedding,layers.0", schedule="schedule-free").fit(
        writing(seed=3), start_from=models / "generate"
    )
    old, new = weights(before), weights(after)
    assert after.outcome_.best_step > 0
    for name in old:
        assert torch.equal(old[name], new[name]) == (not name.startswith("output"))


def test_frozen_layers_of_several_networks(models):
    x, y = reviews()
    before = Classifier.load(models / "classify")
    after = Classifier(epochs=3.0, learning_rate=0.01, freeze=["words", "layers"]).fit(
        x, y, start_from=models / "classify"
    )
    old, new = weights(before), weights(after)
    for name in old:
        frozen = any(f".{part}." in name for part in ("words", "layers"))
        assert torch.equal(old[name], new[name]) or not frozen
    assert not torch.equal(old["members.1.output.weight"], new["members.1.output.weight"])


def test_frozen_running_means_stay(models):
    before = Captioner.load(models / "caption")
    after = Captioner(epochs=1.0, freeze="encoder").fit(*pictures(), start_from=before)
    old, new = weights(before), weights(after)
    assert all(torch.equal(old[name], new[name]) for name in old if name.startswith("encoder"))
    assert any("running_mean" in name for name in old)


# A language model as the encoder of another task.


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    path = tmp_path_factory.mktemp("language") / "model"
    text = words("The red old cat sat Red film in")
    Generator(tokens="words", embedding_size=6, **TINY, seed=1).fit(text, output=path)
    return path


def test_a_classifier_reads_with_the_layers_of_a_language_model(language):
    x, y = reviews()
    generator = Generator.load(language)
    after = Classifier(ensemble=2, **STILL).fit(x, y, start_from=language)
    known, tokens, words_ = after.inputs_.text.words, generator.vocabulary_.words, weights(generator)
    for member in after.model_.members:
        for token in ("red", "old", "cat", "the"):  # "The" alone was a token
            row = [word.lower() for word in tokens].index(token)  # of "Red" and "red" the more frequent one
            assert torch.equal(member.words.weight[2 + known.index(token), :6], words_["embedding.weight"][row])
        assert torch.equal(member.words.weight[1, :6], words_["embedding.weight"][1])  # what is unknown
        for name in ("weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            assert torch.equal(getattr(member.layers, name), words_[f"layers.{name}"])
        assert torch.equal(member.layers.weight_ih_l0[:, :6], words_["layers.weight_ih_l0"])
    assert set(known) >= {"bad", "good", "cat", "in"}  # of both
    assert Classifier.load(saved(after, language)).predict(x).tolist() == after.predict(x).tolist()


def test_a_classifier_begins_with_vectors_of_the_text_that_a_language_model_remembers(tmp_path):
    draw = random.Random(0)
    halves = [("good", "fine", "warm"), ("bad", "dull", "cold")]  # words of one half stand near one another alone
    lines = [" ".join(draw.choices(halves[k % 2], k=6)) for k in range(120)]
    text = io.StringIO("\n".join(line.capitalize() if k % 3 == 0 else line for k, line in enumerate(lines)))
    Generator(tokens="words", embedding_size=6, **TINY).fit(text, output=tmp_path / "model")
    after = Classifier(ensemble=1, **STILL).fit(["good film"] * 9 + ["bad film"] * 9, [1] * 9 + [0] * 9)
    assert after.sizing_.embedding_size == 200  # without a model
    after = Classifier(ensemble=1, **STILL).fit(
        ["good film"] * 9 + ["bad film"] * 9, [1] * 9 + [0] * 9, start_from=tmp_path / "model"
    )
    known, table = after.inputs_.text.words, after.model_.members[0].words.weight.detach().numpy()[2:, 6:]
    assert table.shape[1] == VECTOR_WIDTH
    unit = {word: table[known.index(word)] / np.linalg.norm(table[known.index(word)]) for word in sum(halves, ())}
    for one in unit:
        alike = sorted(unit, key=lambda other: -unit[one] @ unit[other])[:3]
        assert {*alike} == {*next(half for half in halves if one in half)}
    spread = np.sqrt(np.mean(np.square([table[known.index(word)] for word in unit])))
    assert spread == pytest.approx(VECTOR_SIZE, rel=1e-5)


def test_a_language_model_that_remembers_no_text_gives_its_layers_alone(language):
    generator = Generator.load(language)
    generator.plain_ = None  # as in files of before
    x, y = reviews()
    assert Classifier(ensemble=1, **STILL).fit(x, y, start_from=generator).sizing_.embedding_size == 6


def test_a_tagger_reads_with_the_layers_of_a_language_model(language):
    x, y = sentences("Ann Red sat in York the")
    generator = Generator.load(language)
    after = Tagger(char_hidden_size=3, **STILL).fit(x, y, start_from=language)
    known, tokens, old = after.features_.words[0].parts["word"], generator.vocabulary_.words, weights(generator)
    table = after.model_.state_dict()["words.0.parts.0.weight"]
    for token in ("red", "sat", "in", "cat"):
        row = [word.lower() for word in tokens].index(token)
        assert torch.equal(table[1 + known.index(token)], old["embedding.weight"][row])
    assert torch.equal(after.model_.state_dict()["layers.weight_ih_l0"][:, :6], old["layers.weight_ih_l0"])
    assert torch.equal(after.model_.state_dict()["layers.weight_hh_l0"], old["layers.weight_hh_l0"])
    assert Tagger.load(saved(after, language)).score(x, y) == after.score(x, y)


def saved(model, beside):
    path = beside.with_name("saved")
    model.save(path)
    return path


# Resuming.


def test_a_run_resumes_to_the_same_bits_from_the_same_model_alone(models, tmp_path, monkeypatch):
    def run(start=models / "generate", **given):
        return Generator(epochs=2.0, seed=2).fit(writing(seed=3), start_from=start, **given)

    whole = run()
    real, calls = LanguageModel.training_loss, []

    def training_loss(self, batch):
        calls.append(None)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)
        return real(self, batch)

    monkeypatch.setattr(LanguageModel, "training_loss", training_loss)
    assert run(output=tmp_path / "model").outcome_.reason == "interrupted"
    other = fitted("generate", dropout=0.1)
    with pytest.raises(ModelFileError, match="from"):
        run(other, output=tmp_path / "model", resume=True)
    resumed = run(output=tmp_path / "model", resume=True)
    assert same(weights(whole), weights(resumed))


def test_what_went_on_goes_on_from_itself():
    """Options that it took from the first model count as its own."""
    forward = fitted("classify", bidirectional=False, pooling="last")
    model = Classifier(**TINY).fit(*reviews(1), start_from=forward)
    old = weights(model)
    model.set_params(**STILL).fit(*reviews(1), start_from=model)
    assert (model.bidirectional, model.pooling) == (False, "last")
    assert same(old, weights(model))


def test_the_parameters_are_those_that_were_given():
    """As scikit-learn wants it, whatever the model decided; its file says what it was made with."""
    forward = fitted("classify", bidirectional=False, pooling="last")
    model = Classifier(epochs=1.0, seed=3)
    before = model.get_params()
    model.fit(*reviews(1), start_from=forward)
    assert model.get_params() == clone(model).get_params() == before
    assert (model.hidden_size, model.pooling) == (8, "last")
    assert model.plain_options()["hidden_size"] == 8
    assert repr(model) == "Classifier(epochs=1.0, seed=3)"
    model.set_params(hidden_size=8)
    assert model.get_params() == {**before, "hidden_size": 8}


# Wrong input.


@pytest.mark.parametrize(
    ("estimator", "task", "message"),
    [
        (Translator(), "generate", "'generate' is a model of the task 'generate'; translate goes on from translate"),
        (Generator(), "missing", "there is no file"),
        (
            Generator(hidden_size=9),
            "generate",
            "hidden_size=9 contradicts 'generate', with which hidden_size is 8. Leave",
        ),
        (Generator(cell="gru"), "generate", "cell='gru' contradicts 'generate', with which cell is 'lstm'"),
        (
            Generator(tokens="words"),
            "generate",
            "tokens='words' contradicts 'generate', with which tokens is 'characters'",
        ),
        (
            Generator(freeze="embeding"),
            "generate",
            "no part of the network named 'embeding'. Did you mean 'embedding'",
        ),
        (Generator(freeze="embedding,layers,output"), "generate", "leaves nothing to learn"),
        (Generator(only="plain"), "generate", 'only="plain" trains no network'),
        (Generator(), "numbers", "these are text, and 'numbers' continues numbers"),
        (Classifier(), "numbers", "cannot read for this task: it continues numbers"),
    ],
)
def test_wrong_models_and_options_are_refused_in_a_line(models, tmp_path, estimator, task, message):
    data = reviews() if isinstance(estimator, Classifier) else (writing(),)
    with pytest.raises((OptionError, ModelFileError), match=message.replace("(", r"\(")) as caught:
        estimator.fit(*data, start_from=models / task, output=tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_wrong_values_are_refused():
    with pytest.raises(OptionError, match=r"freeze=embedding keeps parts of a model\. Name it: start_from"):
        Generator(freeze="embedding").fit(writing())
    with pytest.raises(NotFittedError, match="has learned nothing yet"):
        Generator().fit(writing(), start_from=Generator())
    with pytest.raises(OptionError, match="a model file or a fitted estimator, not 3"):
        Generator().fit(writing(), start_from=3)
    with pytest.raises(OptionError, match="was made with only='plain' and has no network"):
        Generator().fit(writing(), start_from=Generator(only="plain").fit(writing()))
    for own, why in (({"proj_size": 4}, "projection"), ({"tokens": "byte-pairs"}, "byte-pairs")):
        generator = Generator(**TINY, **own).fit(writing())
        with pytest.raises(OptionError, match=why):
            Classifier().fit(*reviews(), start_from=generator)
