"""`Translator`: it learns a little language, and says so in figures, files and errors."""

import random
import signal

import pytest
import torch
from translate_examples import SMALL, numbers

from gatewise import bundle
from gatewise.data.paired.pairs import Pairs
from gatewise.data.split import split_at_random
from gatewise.decoding import Decoding
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.metrics.text import bleu, text_scores
from gatewise.tasks import Translator, verdict


def test_what_no_target_held_can_only_be_copied():
    """The first word of two. Those asked for were never first in what is learned from: no target has them."""
    draw = random.Random(0)
    words = [f"w{i}" for i in range(120)]
    sources = [f"{draw.choice(words[20:])} {draw.choice(words)}" for _ in range(500)]
    asked = [f"{word} {draw.choice(words)}" for word in words[:20]]
    right = {}
    for copying in (False, True):
        model = Translator(**{**SMALL, "epochs": 10}, copy_mechanism=copying)
        said = model.fit(sources, [source.split()[0] for source in sources]).predict(asked)
        right[copying] = sum(one == source.split()[0] for one, source in zip(said, asked, strict=True))
    assert right[False] == 0
    assert right[True] >= 15


def test_a_little_language_is_learned(reverser):
    sources, targets = numbers(60, seed=9)
    found = reverser.evaluate(Pairs(sources, targets))
    assert found["all"]["exact_match"] > 0.8
    assert found["all"]["chrf"] > 80 > found["baselines"]["copy"]["chrf"]
    assert reverser.predict(["one two three"]) == ["3 2 1"]
    assert {"train", "validation", "test", "baselines", "signatures", *verdict.KEYS} == set(reverser.metrics_)
    assert reverser.metrics_["baselines"].keys() == {"copy", "nearest", "n-gram match"}
    assert reverser.score(sources, targets) == pytest.approx(found["all"]["chrf"])
    assert max(map(len, reverser.report(reverser.metrics_).splitlines())) <= 80


def test_the_training_data_is_split_as_it_was(reverser):
    assert reverser.evaluate(Pairs(*numbers(400))) == reverser.metrics_


def test_evaluated_as_it_is_asked_to_search(reverser):
    pairs = Pairs(*numbers(20, seed=6))
    usual, short = reverser.evaluate(pairs), reverser.evaluate(pairs, decoding=Decoding(max_length=1))
    said = reverser.predict(pairs, decoding=Decoding(max_length=1))
    assert short["all"]["chrf"] == text_scores(said, [[target] for target in pairs.targets])["chrf"]
    assert short["all"]["chrf"] < usual["all"]["chrf"]
    assert short["all"]["loss"] == usual["all"]["loss"]


def test_saved_and_loaded_it_says_the_same(reverser, tmp_path):
    reverser.save(tmp_path / "model")
    loaded = Translator.load(tmp_path / "model")
    sources = numbers(20, seed=4)[0]
    assert loaded.predict(sources) == reverser.predict(sources)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_a_file_that_contradicts_itself_is_refused(reverser, tmp_path):
    reverser.save(tmp_path / "model")
    for spoil in (
        lambda document: document["texts"]["source"]["words"].pop(),
        lambda document: document["texts"].pop("longest"),
        lambda document: document["sizes"].update(hidden_size=34),
        lambda document: document["sizes"].update(dropout=2.0),
    ):
        found = bundle.load(tmp_path / "model")
        spoil(found.document)
        bundle.save(tmp_path / "broken", found.document, found.tensors)
        with pytest.raises(ModelFileError, match="contradicts itself"):
            Translator.load(tmp_path / "broken")


def test_products_of_bfloat16_are_validated_by_the_bleu_of_their_translations():
    train, held_out = Pairs(*numbers(80)), Pairs(*numbers(20, seed=1))
    model = Translator(**SMALL, precision="bfloat16", stop_on="bleu", only="network").fit(train, validation=held_out)
    found = model.predict(held_out.sources, decoding=Decoding(beam_size=1))
    assert model.outcome_.best_loss == pytest.approx(1 - bleu(found, [[text] for text in held_out.targets]) / 100)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    data = Pairs(*numbers(80))
    options = {**SMALL, "dropout": 0.2, "scheduled_sampling": 0.3, "stop_on": "bleu", "zoneout": 0.1}

    class Stops:
        """Progress that a user interrupts at the fourth step."""

        def __getattr__(self, name):
            return lambda *_: None

        def step(self, step, loss):
            if step == 4:
                signal.raise_signal(signal.SIGINT)

    whole = Translator(**options).fit(data)
    stopped = Translator(**options).fit(data, output=tmp_path / "model", progress=lambda *_: Stops())
    assert stopped.outcome_.reason == "interrupted"
    assert Translator.load(tmp_path / "model").predict(["one"]) == stopped.predict(["one"])
    resumed = Translator(**options).fit(data, output=tmp_path / "model", resume=True)
    assert resumed.outcome_.reason == "finished"
    for name, weight in whole.model_.state_dict().items():
        assert torch.equal(weight, resumed.model_.state_dict()[name]), name


def test_validation_data_of_its_own_and_targets_beside_texts():
    sources, targets = numbers(60)
    one = Translator(**SMALL).fit(sources, targets, validation=numbers(10, seed=2))
    assert set(one.metrics_) == {"train", "validation", "network", "baselines", "signatures", *verdict.KEYS}
    assert one.metrics_["train"]["pairs"] == 60
    parts = split_at_random(Pairs(sources, targets), (0.8, 0.1, 0.1), 0, "pairs")
    assert [len(part) for part in parts.values()] == [48, 6, 6]
    assert sorted(text for part in parts.values() for text in part.sources) == sorted(sources)


@pytest.mark.parametrize(
    "options",
    [
        {"tokens": "byte-pairs", "vocabulary_size": 300, "shared_vocabulary": False},
        {"tokens": "characters", "attention": "additive", "input_feeding": True, "cell": "gru"},
        {"tokens": None, "attention": "none", "precision": "bfloat16", "num_layers": 2, "recurrent_dropout": 0.1},
    ],
    ids=str,
)
def test_options_are_kept_in_the_file(options, tmp_path):
    one = Translator(**{**SMALL, **options, "epochs": 1}).fit(Pairs(*numbers(30)), output=tmp_path / "model")
    loaded = Translator.load(tmp_path / "model")
    assert loaded.get_params() == one.get_params()
    assert loaded.predict(["one two"]) == one.predict(["one two"])


def test_it_is_an_estimator_of_scikit_learn():
    from sklearn.base import clone

    assert clone(Translator(seed=3, hidden_size=8)).get_params()["hidden_size"] == 8
    with pytest.raises(OptionError, match="learned nothing yet"):
        Translator().predict(["one"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "dot"}, "no attention named 'dot'"),
        ({"tokens": "letters"}, "no kind of tokens named 'letters'"),
        ({"tokens": "characters", "vocabulary_size": 9}, "characters are kept all"),
        ({"tokens": "characters", "min_frequency": 9}, "min_frequency is for words and byte-pairs"),
        ({"stop_on": "chrf"}, "no figure to stop on named 'chrf'"),
        ({"precision": "float16"}, "no precision named 'float16'"),
        ({"label_smoothing": 1.0}, "label_smoothing must be a number from 0"),
        ({"scheduled_sampling": -0.1}, "scheduled_sampling must be a number from 0 to 1"),
        ({"batch_tokens": 0}, "batch_tokens must be a whole number"),
        ({"input_feeding": "yes"}, "input_feeding must be true or false"),
        ({"cell": "nocell"}, "no cell named 'nocell'"),
        ({"cell": "lstmp"}, "the cell 'lstmp' needs a proj_size, which is no option here. Take lstm instead"),
        (
            {"cell": "mlstm", "hidden_size": 12},
            "half per direction, and 6 is no multiple of the 4 heads",
        ),
    ],
    ids=str,
)
def test_impossible_options(options, message):
    with pytest.raises(OptionError, match=message):
        Translator(**{**SMALL, **options}).fit(Pairs(*numbers(20)))


@pytest.mark.parametrize("limit", [{"vocabulary_size": 300}, {"min_frequency": 9}], ids=str)
def test_limits_of_a_vocabulary_are_not_for_texts_that_become_characters(limit):
    dates = Pairs(
        [f"{day} {day % 12 + 1} 19{day}" for day in range(11, 31)], [f"19{day}-{day}" for day in range(11, 31)]
    )
    with pytest.raises(OptionError, match="kept all"):
        Translator(**{**SMALL, **limit, "tokens": None}).fit(dates)


def test_a_refused_refit_leaves_the_model_whole():
    translator = Translator(**SMALL).fit(Pairs(*numbers(40)))
    before = translator.predict(["one two", "six"])
    with pytest.raises(DataError, match="no pair to learn from"):
        translator.fit(Pairs(["a b", "c"], ["d", "e f"]), validation=Pairs([], []))
    assert translator.predict(["one two", "six"]) == before


def test_data_that_nothing_can_be_learned_from():
    with pytest.raises(DataError, match="leaves none to learn from"):
        Translator(split=(0.1, 0.0, 0.9)).fit(Pairs(["a"], ["b"]))
    with pytest.raises(OptionError, match="as many targets beside it"):
        Translator().fit(["a", "b"])
    with pytest.raises(DataError, match="2 texts, but 1 targets"):
        Translator().fit(["a", "b"], ["c"])
