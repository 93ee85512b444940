"""Sizes of a language model, chosen from the amount of text."""

import io
import math

import pytest
from generate_examples import fit

from gatewise import cells
from gatewise.errors import OptionError
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text import sizing as _sizing
from gatewise.tasks.generate.text.sizing import check_memory, sizing
from gatewise.training.memory import free_memory


def sized(tokens, vocabulary_size=70, **options):
    return sizing(Generator(**options), cells.find("lstm"), tokens, vocabulary_size)


def test_more_text_more_model():
    found = [sized(n) for n in (5_000, 50_000, 200_000, 1_000_000, 5_000_000, 50_000_000)]
    for name in ("hidden_size", "num_layers", "batch_size", "parameters", "chunk_length"):
        values = [getattr(one, name) for one in found]
        assert values == sorted(values), name
    for name in ("epochs", "dropout", "learning_rate"):
        values = [getattr(one, name) for one in found]
        assert values == sorted(values, reverse=True), name
    limits = [row.tokens for row in _sizing.ROWS]
    assert limits == sorted(limits)
    assert limits[-1] == math.inf


@pytest.mark.parametrize("tokens", [5_000, 50_000, 1_000_000, 50_000_000])
def test_any_amount_of_text_gets_a_sensible_training(tokens):
    chosen = sized(tokens)
    steps = tokens * chosen.epochs / (chosen.batch_size * chosen.chunk_length)
    assert 200 < steps < 25_000
    assert chosen.batch_size * (chosen.chunk_length + 1) <= tokens / 5
    assert 32 <= chosen.hidden_size <= 1024
    # Two flops per weight and token forward, twice that backward; two cores do some 200 GFLOP/s.
    assert 6 * chosen.parameters * tokens * chosen.epochs / 2e11 < 4 * 3600
    check_memory(chosen, tokens)


@pytest.mark.parametrize("tokens", range(65, 4000, 131))
def test_a_text_of_one_chunk_or_more_is_never_too_short_by_default(tokens):
    chosen = sized(tokens)
    assert chosen.batch_size * (chosen.chunk_length + 1) <= tokens


def test_presets():
    small, medium, large, usual = (sized(1_000_000, preset=p) for p in ("small", "medium", "large", None))
    assert medium == usual
    assert small.hidden_size < medium.hidden_size < large.hidden_size
    assert medium.epochs < large.epochs
    assert sized(1_000_000, preset="small", hidden_size=77).hidden_size == 77


@pytest.mark.parametrize("tokens", [5_000, 50_000, 200_000, 500_000, 1_000_000, 5_000_000, 50_000_000])
def test_small_takes_at_most_half_the_time_and_makes_no_fewer_steps_of_a_pass(tokens):
    small, medium = sized(tokens, preset="small"), sized(tokens)
    assert small.parameters * small.epochs <= 0.55 * medium.parameters * medium.epochs
    assert small.batch_size * small.chunk_length <= medium.batch_size * medium.chunk_length
    assert small.dropout <= medium.dropout
    words, usual = sized(tokens, 10_000, preset="small"), sized(tokens, 10_000)
    assert (words.dropout, words.learning_rate) == (usual.dropout, usual.learning_rate)


def test_words_share_their_table_with_the_scores():
    assert sized(1_000_000, 10_000).tied
    assert not sized(1_000_000, 100).tied


def test_too_large_for_memory(monkeypatch, rhyme, folder):
    monkeypatch.setattr(_sizing, "free_memory", lambda: 1_000_000)
    with pytest.raises(OptionError) as caught:
        Generator(hidden_size=2000).fit(io.StringIO(rhyme), output="model")
    assert "needs about 4" in str(caught.value)
    assert "MB of memory, but 1 MB are free. Lower hidden_size (now 2000), num_layers, batch" in str(caught.value)
    assert not list(folder.iterdir())
    monkeypatch.setattr(_sizing, "free_memory", lambda: None)  # a system that does not tell
    fit(rhyme)


def test_free_memory_is_known_here():
    free = free_memory()
    assert free is None or 10**6 < free < 10**15
