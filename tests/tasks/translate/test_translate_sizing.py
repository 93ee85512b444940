"""Sizes of a translator, chosen from the amount of its data."""

import pytest

from gatewise.tasks.translate.options import TranslateOptions
from gatewise.tasks.translate.sizing import ROWS, SMALL, sizing

AMOUNTS = [1_000, 50_000, 200_000, 1_000_000, 10_000_000]


@pytest.mark.parametrize("tokens", AMOUNTS)
def test_small_takes_at_most_half_the_time_with_larger_steps(tokens):
    small, medium = (sizing(TranslateOptions(preset=preset), tokens) for preset in ("small", None))
    work = [one.hidden_size**2 * one.num_layers * one.epochs for one in (small, medium)]
    assert work[0] <= 0.55 * work[1]
    assert small.hidden_size <= medium.hidden_size
    assert small.hidden_size >= medium.hidden_size // 2  # and not half of both, which would be far less than half
    assert small.learning_rate > medium.learning_rate
    assert small.dropout <= medium.dropout


def test_rows_rise_and_options_count():
    for rows in (ROWS, SMALL):
        assert [most for most, _ in rows] == sorted(most for most, _ in rows)
        assert [row.hidden_size for _, row in rows] == sorted(row.hidden_size for _, row in rows)
    given = sizing(TranslateOptions(preset="small", hidden_size=77, epochs=3.0, learning_rate=1e-3), 50_000)
    assert (given.hidden_size, given.epochs, given.learning_rate) == (77, 3, 1e-3)
    large, medium = sizing(TranslateOptions(preset="large"), 50_000), sizing(TranslateOptions(), 50_000)
    assert large.hidden_size == 1.5 * medium.hidden_size
