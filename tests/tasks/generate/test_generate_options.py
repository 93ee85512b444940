"""Options of `Generator` that are impossible, and texts that are too short."""

import io
import math

import pytest
from generate_examples import TINY

from gatewise.errors import DataError, GatewiseError, OptionError
from gatewise.tasks.generate.estimator import Generator

IMPOSSIBLE = {
    "activation_penalty": [-1, "a", math.nan, math.inf, None, True],
    "batch_size": [0, -1, 2.0, "a", True, math.nan],
    "cell": [3, None, "lstn", "gru2"],
    "chunk_length": [0, -5, 1.5, "a", False],
    "clip": [0, -1.0, "a", math.inf, math.nan],
    "decimal": [",", "x"],
    "group": ["a"],
    "header": [True, False],
    "missing": ["-", ("-", "?")],
    "only": ["network", True, 1],
    "precision": ["float16", 32, None],
    "schedule": ["linear", 1, None],
    "separator": [";", "tab"],
    "thousands": [".", "x"],
    "dropout": [1, -0.1, "a", True, math.nan],
    "embedding_size": [0, -1, "a", 1.5, True],
    "columns": ["x", ("x", "y")],
    "key": ["who"],
    "time": ["when"],
    "mixtures": [0, -1, "a", 1.5, True, 1001, 5],
    "minutes": [0, -1, "a", math.nan, math.inf, True],
    "epochs": [0, -1, "a", math.nan, math.inf, True],
    "freeze": ["embedding", "layers.0"],
    "freeze_vectors": ["a", None, 2],
    "forget_bias": ["a", math.nan, None, 1e9],
    "hidden_size": [0, -1, "a", 1.5, True, math.nan, 10**40],
    "learning_rate": [0, -1, "a", 11, 1e30, math.nan, True],
    "memorise": ["a", None, 2],
    "min_frequency": [0, "a", 1.5, 2],
    "num_layers": [0, -1, "a", 1.5, True, 10**6],
    "patience": [0, -1, 1.5, "a"],
    "preset": ["smal", 3, []],
    "proj_size": [-1, 8, 1.5, "a", True, None],
    "recurrent_dropout": [1, -0.1, "a", None, True, math.nan],
    "seed": [-1, 1.5, "a", None, 2**64],
    "split": [5, "abc", (0.9, 0.1), (1.0, 0.5, 0.5), (0, 0.5, 0.5), (1.1, -0.05, -0.05), (math.nan, 0.1, 0.1)],
    "temporal_activation_penalty": [-1, "a", math.nan, math.inf, None, True],
    "threads": [0, -1, 1.5, "a", True, 10**6],
    "tie_weights": ["a", 1, 0],
    "tokens": ["letters", 5, [], None],
    "variational_dropout": ["a", None, 2],
    "vectors": [3, True, b"x"],
    "vocabulary_size": [0, "a", 100],
    "weight_decay": [-1, "a", math.nan, None],
    "weight_dropout": [1, -0.1, "a", None, True, math.nan],
    "zoneout": [1, -0.1, "a", None, True, (0.1, 0.2)],
}


def test_every_option_has_its_impossible_values():
    assert IMPOSSIBLE.keys() == Generator().get_params().keys()


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, values in IMPOSSIBLE.items() for v in values], ids=lambda v: f"{v!r:.12}"
)
def test_impossible_options(name, value, rhyme, folder):
    with pytest.raises(OptionError) as caught:
        Generator(**{**TINY, name: value}).fit(io.StringIO(rhyme), output="model")
    message = str(caught.value)
    assert "\n" not in message
    assert {"preset": "preset", "tokens": "kind of tokens", "cell": "cell"}.get(name, name) in message
    if name != "split" and not isinstance(value, list):
        kept_all = name in ("vocabulary_size", "min_frequency") and "kept all" in message
        assert kept_all or str(value)[:40] in message
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokens": "words", "vocabulary_size": 2}, "vocabulary_size must be a whole number, 3 or more, not 2"),
        ({"tokens": "byte-pairs", "vocabulary_size": 99}, "vocabulary_size must be a whole number, 256 or more"),
        ({"tokens": "words", "min_frequency": 10**6}, "no word occurs 1000000 times or more"),
        ({"cell": "gru", "proj_size": 3}, "proj_size is 3, but the cell 'gru' has no projection"),
        ({"cell": "lstmp"}, "the cell 'lstmp' projects its output: give it a proj_size"),
        (
            {"split": (0.9999, 0.00001, 0.00009)},
            "the validation part of the text has 0 tokens, but at least 2 are needed",
        ),
        ({"split": (0.9999, 0.00005, 0.00005)}, "or raise the validation share of split (now 0.9999, 5e-05, 5e-05)"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_options_that_do_not_go_together(options, said, rhyme, folder):
    with pytest.raises(GatewiseError) as caught:
        Generator(**{**TINY, **options}).fit(io.StringIO(rhyme), output="model")
    assert said in str(caught.value)
    assert not list(folder.iterdir())


def test_a_text_shorter_than_one_chunk(folder):
    with pytest.raises(DataError) as caught:
        Generator(hidden_size=8).fit(io.StringIO("To be, or not to be"), output="model")
    assert str(caught.value) == (
        "the text is too short: its training part has 17 tokens, but one chunk of 1 x 64 steps needs 65. "
        "Give more text, or lower chunk_length (now 64)"
    )
    assert not list(folder.iterdir())
    text = "abcdefgh" * 10
    fitted = Generator(hidden_size=8, batch_size=4, chunk_length=17, split=(0.9, 0.1, 0)).fit(io.StringIO(text))
    assert fitted.sizing_.batch_size * (fitted.sizing_.chunk_length + 1) == 72  # exactly enough
    with pytest.raises(
        DataError, match=r"has 72 tokens.* 4 x 18 steps needs 76.*chunk_length .* or batch_size \(now 4"
    ):
        Generator(hidden_size=8, batch_size=4, chunk_length=18, split=(0.9, 0.1, 0)).fit(io.StringIO(text))


@pytest.mark.parametrize("data", [5, None, [], ["a", 5], b"abc", "no such file", io.BytesIO(b"abc"), io.StringIO("")])
def test_what_is_no_text(data, folder):
    with pytest.raises(DataError):
        Generator(**TINY).fit(data, output="model")
    assert not list(folder.iterdir())
