"""Pairs of texts as batches."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.tasks.translate.examples import PairBatches


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40), st.integers(1, 60))
def test_every_pass_has_every_pair_once(lengths, batch_tokens):
    sources = [np.arange(s) for s, _ in lengths]
    targets = [np.full(t, n) for n, (_, t) in enumerate(lengths)]
    batches = PairBatches(sources, targets, edge=99, batch_tokens=batch_tokens, seed=3)
    for number in range(2):
        seen = []
        for place in range(len(batches)):
            batch = batches.at(number * len(batches) + place)
            assert batch["targets"].size <= max(batch_tokens, len(batch["targets"]))
            for column in range(batch["targets"].shape[1]):
                length = batch["target_lengths"][column]
                target, fed = batch["targets"][:, column], batch["inputs"][:, column]
                assert (fed[0], target[length - 1]) == (99, 99)
                np.testing.assert_array_equal(fed[1:length], target[: length - 1])
                assert (target[length:] == -1).all()
                assert batch["source"].shape[0] >= batch["lengths"][column]
                seen.append((int(batch["lengths"][column]), int(length) - 1))
        assert sorted(seen) == sorted(lengths)


def test_passes_differ_and_a_seed_decides():
    pairs = [np.arange(n % 3) for n in range(60)], [np.full(n % 4, n) for n in range(60)]
    one, other = (PairBatches(*pairs, edge=99, batch_tokens=20, seed=seed) for seed in (1, 1))
    same = [np.array_equal(one.at(s)["targets"], other.at(s)["targets"]) for s in range(2 * len(one))]
    assert all(same)
    again = [np.array_equal(one.at(s)["targets"], one.at(s + len(one))["targets"]) for s in range(len(one))]
    assert not all(again)
