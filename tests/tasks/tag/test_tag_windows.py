"""What the plain regression of `tag` reads, and how it is fitted."""

import itertools
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from tag_examples import SIZES, sentences, series

from gatewise.data.readers.arrays import from_arrays
from gatewise.data.sequences import Column, Sequences
from gatewise.data.text.tagging_schemes import allowed_transitions
from gatewise.decoding.viterbi import Chain, viterbi
from gatewise.document import read
from gatewise.nn import CRF
from gatewise.tasks import Tagger
from gatewise.tasks.tag.features import Features
from gatewise.tasks.tag.fitting import chain_gradients, folds_of
from gatewise.tasks.tag.windows import Windows


def numbers_of(x, offsets, reach, ahead, **rest):
    data = Sequences(np.array(offsets), {"x": Column("x", "number", np.asarray(x, np.float32))}, {})
    features = Features.learn(data, ["x"], ahead)
    windows = Windows(ahead, [], reach=reach, **rest)
    found = np.concatenate(list(windows.numbers(features.encode(data), features)))
    assert found.shape == (len(x), windows.width(features))
    return found, features.encode(data).numbers[:, 0].astype(np.float64)


@pytest.mark.parametrize("ahead", [False, True])
def test_windows_of_measurements_by_hand(ahead):
    """Against a loop over steps, in two sequences of which one is shorter than the windows."""
    offsets = [0, 3, 14]
    found, x = numbers_of(np.random.default_rng(0).normal(size=14), offsets, 4, ahead)
    for (start, stop), t in [(pair, t) for pair in itertools.pairwise(offsets) for t in range(*pair)]:
        sides = (-1, 1) if ahead else (-1,)
        row = [x[t], *(x[t] - x[min(max(t + side, start), stop - 1)] for side in sides)]
        for steps in (2, 4):
            inside = x[max(start, t - steps + 1) : min(stop, t + steps if ahead else t + 1)]
            row += [inside.mean(), inside.std()]
            row += [x[t] - x[min(max(t + side * steps, start), stop - 1)] for side in sides]
        assert found[t] == pytest.approx(row, abs=1e-5)


def test_windows_do_not_depend_on_what_they_do_not_reach():
    """To the last bit, as streams need."""
    x = np.random.default_rng(0).normal(size=60)
    found, _ = numbers_of(x, [0, 60], 8, False, binned=True)
    data = Sequences(np.array([0, 60]), {"x": Column("x", "number", x.astype(np.float32))}, {})
    features = Features.learn(data, ["x"], False)
    windows = Windows(False, [], reach=8, binned=True)
    part = Sequences(np.array([0, 9]), {"x": data.steps["x"][np.arange(30, 39)]}, {})
    assert (np.concatenate(list(windows.numbers(features.encode(part), features)))[-1] == found[38]).all()
    some = np.concatenate(list(windows.numbers(features.encode(data), features, np.array([3, 38, 59]))))
    assert (some == found[[3, 38, 59]]).all()


def test_tokens_are_hashed_with_their_places():
    data = from_arrays([["Ann", "sat", "Ann"], ["Ann"]])
    encoded = Features.learn(data, ["token"], True).encode(data)
    found = Windows.of(encoded, True).hashes(encoded)
    here = found[:, 2]  # the word of a step itself; before it the two behind, after it the two ahead
    assert here[0] == here[2] == here[3] != here[1]
    assert found[0, 1] == found[3, 1]  # both begin a sentence
    assert found[0, 3] != found[2, 3] == found[3, 3]  # both end one
    assert len({*found[0].tolist()}) == found.shape[1]  # the same word in another place is another value
    causal = Windows.of(encoded, False).hashes(encoded)
    assert causal.shape[1] < found.shape[1]
    assert (causal[2] != causal[0]).any()
    cut = from_arrays([["Ann"]])
    features = Features.learn(data, ["token"], False)
    assert (Windows.of(encoded, False).hashes(features.encode(cut))[0] == causal[0]).all()


def windows_of(tokens):
    data = from_arrays(tokens)
    encoded = Features.learn(data, ["token"], True).encode(data)
    return Windows.of(encoded, True), encoded


def shared(found, one, other):
    """Which slots of two steps hold the same."""
    return {*np.flatnonzero(found[one] == found[other]).tolist()}


def test_ends_of_words_are_read():
    """Five letters at each end, three of the words beside, and three with the shape."""
    tokens = [["Kensington", "ran", "Wellington", "sat", "KENSINGTON"], ["unkensing", "ran", "Rensingham", "ran"]]
    windows, encoded = windows_of(tokens)
    first = len(replace(windows, fine=[]).slots(0))
    found = windows.hashes(encoded)
    shape, prefix, suffix, before, after = range(first, first + 5)
    assert found.shape[1] == first + 5
    assert shared(found, 0, 2) & {*range(first, first + 5)} == {shape, suffix}
    assert shared(found, 0, 4) & {*range(first, first + 5)} == {prefix, suffix}  # in capitals it has another shape
    assert shared(found, 1, 3) & {before, after} == set()
    assert shared(found, 6, 8) & {before, after} == set()
    assert found[1, before] != found[6, before]
    assert found[1, after] != found[6, after]
    assert windows.hashes(windows_of([["Kensal", "ran", "Welling"]])[1])[1, [before, after]].tolist() == [
        *found[1, [before, after]].tolist()
    ]


def test_what_stands_beside_a_character_in_its_token_is_read():
    """As a digit for the character's place in its word, which tokens without digits cannot have."""
    windows, encoded = windows_of([["a0", "b1", "c2", "d0"], ["a0", "b1", "c0", "d1"]])
    assert windows.short == windows.fine == [True]
    first = len(replace(windows, fine=[]).slots(0))
    found = windows.hashes(encoded)
    before, here, after, pair_before, pair_after = range(first, first + 5)
    assert found.shape[1] == first + 5
    # The characters are the same everywhere. At the second token what differs is behind it, at the third it is there.
    assert {*range(first + 5)} - shared(found, 1, 5) == {after, pair_after}
    assert {*range(first, first + 5)} - shared(found, 2, 6) == {here, after, pair_before, pair_after}
    assert {*range(first, first + 5)} - shared(found, 3, 7) == {before, here, pair_before, pair_after}
    plain = windows_of([["a", "b", "c", "d"]])[0]
    assert (plain.short, plain.fine) == ([True], [False])


def test_models_of_before_read_what_they_did():
    """Their files name no finer parts, and the hashes of the others are the same to the last bit."""
    for tokens in ([["Kensington", "ran"], ["Wellington"]], [["a0", "b1"], ["c0"]]):
        windows, encoded = windows_of(tokens)
        document = asdict(windows)
        del document["fine"]
        before = read(Windows, document, "plain")
        assert before == replace(windows, fine=[])
        found = before.hashes(encoded)
        assert found.shape[1] < windows.hashes(encoded).shape[1]
        assert (found == windows.hashes(encoded)[:, : found.shape[1]]).all()
    with pytest.raises(ValueError, match="parts of 2 columns of tokens, and has 1"):
        replace(windows, fine=[True, True])


def drawn_chain(seed=0, labels=4):
    random = np.random.default_rng(seed)
    allowed = random.random((labels + 2, labels + 2)) < 0.8
    allowed[np.arange(labels), np.arange(labels)] = allowed[labels, :labels] = allowed[:labels, labels + 1] = True
    crf = CRF(labels, allowed, dtype=torch.float64)
    for weight in crf.parameters():
        weight.data = torch.from_numpy(random.normal(size=weight.shape))
    lengths, scores = np.array([7, 3, 1, 5, 7]), 3 * random.normal(size=(7, 5, labels))
    start, moves, end = (
        np.where(mask, weight.detach().numpy(), -1e6)
        for mask, weight in (
            (allowed[labels, :labels], crf.start),
            (allowed[:labels, :labels], crf.transitions),
            (allowed[:labels, labels + 1], crf.end),
        )
    )
    return crf, lengths, scores, Chain(start, moves, end)


def test_gradients_of_a_chain_are_those_of_the_crf():
    crf, lengths, scores, chain = drawn_chain()
    given = torch.tensor(scores, requires_grad=True)
    labels, _ = crf.decode(given, lengths=torch.from_numpy(lengths))  # a path that is allowed
    (-crf(given, labels, lengths=torch.from_numpy(lengths)).sum()).backward()
    found = chain_gradients(scores, labels.numpy(), lengths, chain.start, chain.transitions, chain.end)
    wanted = (given.grad, crf.start.grad, crf.transitions.grad, crf.end.grad)
    for own, other in zip(found, wanted, strict=True):
        assert own == pytest.approx(other.numpy(), abs=1e-12)


def test_viterbi_finds_the_paths_of_the_crf_and_of_brute_force():
    crf, lengths, scores, chain = drawn_chain(1)
    labels, _ = crf.decode(torch.from_numpy(scores), lengths=torch.from_numpy(lengths))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.concatenate([scores[:length, row] for row, length in enumerate(lengths)])
    found = viterbi(flat, offsets, chain)
    assert (found == np.concatenate([labels[:n, row].numpy() for row, n in enumerate(lengths)])).all()
    sums = {
        path: chain.start[path[0]] + flat[10][path[0]] + 0.0 if len(path) == 1 else None
        for path in itertools.product(range(4), repeat=1)
    }
    assert found[10] == max(sums, key=lambda path: sums[path] + chain.end[path[0]])[0]  # the sequence of one step


def test_forbidden_pairs_stay_forbidden():
    levels = ["B-X", "I-X", "O"]
    chain = Chain.allowing(allowed_transitions(levels, "BIO"))
    scores = np.array([[0, 5.0, 1], [0, 5.0, 1]])
    assert viterbi(scores, np.array([0, 2]), chain).tolist() == [0, 1]  # "I" alone would be better, and may not begin


def test_folds_hold_every_step_once_and_keep_groups_together():
    data = from_arrays([[str(i)] * 3 for i in range(12)], [["a", "b", "a"]] * 12, per_step=True)
    groups = np.arange(12) // 3
    held = [{*fold.held.steps["token"].strings()} for fold in folds_of(data, groups, 0)]
    assert sorted(itertools.chain(*held), key=int) == [str(i) for i in range(12)]
    for fold, own in zip(folds_of(data, groups, 0), held, strict=True):
        assert not own & {*fold.train.steps["token"].strings()}
        assert all(own >= {str(k) for k in range(12) if k // 3 == int(name) // 3} for name in own)
    few = data.take([0, 1])
    assert sum(int(fold.held.offsets[-1]) for fold in folds_of(few, None, 0)) == 6


def test_a_tagger_without_a_network():
    tokens, labels = sentences(60)
    tagger = Tagger(only="plain", **SIZES).fit(from_arrays(tokens, labels, per_step=True))
    assert tagger.model_ is None
    assert tagger.metrics_["share"] == 0
    assert tagger.metrics_["strongest_plain"]["name"] == "linear CRF"
    assert tagger.metrics_["test"]["f1"] == tagger.metrics_["baselines"]["linear CRF"]["f1"] > 0.9


def test_a_network_that_learned_nothing_has_no_share(tmp_path):
    """And the file says so."""
    x, labels, _ = series(4, 900)
    data = from_arrays(x, labels, per_step=True)
    tagger = Tagger(bidirectional=False, hidden_size=4, epochs=0.05, num_layers=1).fit(data)
    assert tagger.blend_.share == 0
    assert not tagger.metrics_["earned"]
    found = tagger.metrics_["test"]["accuracy"]
    assert found == tagger.metrics_["baselines"]["logistic regression"]["accuracy"] > 0.9
    tagger.save(tmp_path / "model")
    again = Tagger.load(tmp_path / "model")
    assert again.blend_ == tagger.blend_
    assert (again.predict(data)[0] == tagger.predict(data)[0]).all()


@pytest.mark.parametrize("share", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["numbers", "labels", "tokens"])
def test_a_stream_of_a_blend_has_the_same_bits(kind, share):
    x, labels, numbers = series(2, 150)
    y = numbers if kind == "numbers" else labels
    if kind == "tokens":
        x, y = sentences(40)
    options = {**SIZES, "bidirectional": False, "epochs": 2, "share": share, "split": (1, 0, 0)}
    tagger = Tagger(**options).fit(from_arrays(x, y, per_step=True))
    assert tagger.blend_.share == share
    x = x[:10]
    for row, predicted in zip(x, tagger.predict(from_arrays(x, per_step=kind != "tokens")), strict=True):
        stream = tagger.stream()
        assert [stream.push(values) for values in row] == predicted.tolist()


def test_measurements_are_scaled_in_each_sequence_where_that_helps():
    """Each sequence has an offset and a scale of its own; the label says whether a value is above its mean."""
    random = np.random.default_rng(0)
    x, labels = [], []
    for offset in random.normal(0, 100, 12):
        values = random.normal(size=200)
        labels.append(np.where(values > 0, "high", "low").tolist())
        x.append((offset + abs(offset) * values).astype(np.float32)[:, None])
    data = from_arrays(x, labels, per_step=True)
    tagger = Tagger(only="plain").fit(data)
    assert tagger.features_.per_sequence
    assert tagger.metrics_["test"]["accuracy"] > 0.9
    assert not Tagger(only="plain", normalise=False).fit(data).features_.per_sequence
    assert not Tagger(only="plain", bidirectional=False).fit(data).features_.per_sequence  # it needs the whole sequence
