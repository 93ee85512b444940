"""Decoding of CTC scores, beside sums and maxima over every possible path."""

import itertools

import numpy as np
import pytest
import torch

from gatewise.decoding.ctc import Greedy, PrefixBeam, align, log_softmax, steps_needed

V = 4


def scores(T, seed, sharp=2.0):
    return log_softmax(sharp * np.random.default_rng(seed).normal(size=(T, V)))


def labelling(path):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def by_labelling(p):
    """Every labelling with the probabilities of its paths, by looking at all of them."""
    found: dict = {}
    for path in itertools.product(range(V), repeat=len(p)):
        total = np.exp(sum(p[t, symbol] for t, symbol in enumerate(path)))
        found.setdefault(labelling(path), []).append((total, path))
    return found


class Pairs:
    """A prior that knows pairs: the probability of each label behind the last one, and of the end."""

    def __init__(self, seed):
        self.table = log_softmax(2 * np.random.default_rng(seed).normal(size=(V, V)))  # column 0: the end

    def start(self):
        return 0

    def after(self, state, label):
        return label

    def scores(self, state):
        return self.table[state]

    def end(self, state):
        return float(self.table[state, 0])

    def of(self, labels):
        return sum(self.table[a, b] for a, b in itertools.pairwise((0, *labels, 0)))


def decoded(decoder, *parts):
    for part in parts:
        decoder.push(part)
    return tuple(decoder.labels())


@pytest.mark.parametrize("seed", range(12))
def test_a_wide_beam_finds_the_labelling_with_the_largest_sum(seed):
    p = scores(6, seed)
    sums = {labels: sum(total for total, _ in paths) for labels, paths in by_labelling(p).items()}
    assert sum(sums.values()) == pytest.approx(1)
    beam = PrefixBeam(10_000)
    assert decoded(beam, p) == max(sums, key=sums.__getitem__)
    held = {prefix.labels: score for prefix, score in zip(beam._prefixes, beam._scores(), strict=True)}
    assert held.keys() == sums.keys()
    for labels, total in sums.items():
        assert held[labels] == pytest.approx(np.log(total))


@pytest.mark.parametrize("seed", range(8))
def test_a_prior_and_a_bonus_are_added(seed):
    p, prior = scores(5, seed, sharp=1.0), Pairs(seed)
    totals = {
        labels: np.log(sum(total for total, _ in paths)) + 0.7 * prior.of(labels) + 0.3 * len(labels)
        for labels, paths in by_labelling(p).items()
    }
    assert decoded(PrefixBeam(10_000, prior, 0.7, 0.3), p) == max(totals, key=totals.__getitem__)


def test_the_sum_over_paths_is_that_of_torch():
    p = scores(6, 5)
    beam = PrefixBeam(10_000)
    beam.push(p)
    for prefix, score in zip(beam._prefixes, beam._scores(), strict=True):
        if prefix.labels and steps_needed(prefix.labels) <= 6:
            targets, lengths = torch.tensor([prefix.labels]), (torch.tensor([6]), torch.tensor([len(prefix.labels)]))
            loss = torch.nn.functional.ctc_loss(torch.from_numpy(p)[:, None], targets, *lengths, reduction="sum")
            assert score == pytest.approx(-float(loss))


def test_a_narrow_beam_is_near_and_takes_pieces():
    for seed in range(5):
        p = scores(30, seed, sharp=4.0)
        wide = decoded(PrefixBeam(500), p)
        assert decoded(PrefixBeam(16), p) == wide
        for width in (1, 3, 16):
            pieces = np.split(p, [1, 1, 8, 21])
            assert decoded(PrefixBeam(width), *pieces) == decoded(PrefixBeam(width), p)
        assert decoded(Greedy(), *pieces) == decoded(Greedy(), p) == labelling(p.argmax(1).tolist())


def test_summing_over_paths_is_not_the_best_path():
    p = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert decoded(Greedy(), p) == ()
    assert decoded(PrefixBeam(4), p) == (1,)  # 0.16 + 2 * 0.24 against 0.36


@pytest.mark.parametrize("seed", range(8))
def test_alignment_is_that_of_the_likeliest_path(seed):
    p = scores(6, seed)
    for labels, paths in by_labelling(p).items():
        path = max(paths)[1]
        runs, t = [], 0
        for symbol, group in itertools.groupby(path):
            length = len(list(group))
            if symbol:
                runs.append((t, t + length))
            t += length
        assert align(p, labels) == runs, labels


def test_too_few_steps():
    assert steps_needed([1, 1, 2, 2, 2]) == 8
    with pytest.raises(ValueError, match="2 steps have no path with 2 labels"):
        align(scores(2, 0), [1, 1])
    assert align(scores(2, 0), []) == []
