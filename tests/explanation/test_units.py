"""Named units: a planted one is found and confirmed, noise is not named."""

import numpy as np
import pytest

from benchmarks.explain.units import FEATURE, HIDDEN, PLANTED, cost_of, model, smooth, text
from gatewise import cells
from gatewise.errors import DataError
from gatewise.explanation import name_units, propose
from gatewise.explanation.features import number_features, of_rows, tag_features, text_features
from gatewise.runtime import network
from gatewise.runtime.layers import network_of


def test_a_planted_unit_is_found_and_confirmed():
    written = text(3000)
    features = {name: values[:, None] for name, values in text_features(written).items()}
    closing = np.array([written[t + 1 : t + 2] == "»" for t in range(len(written))])[:, None]
    found = name_units(model(), cost_of(written), features, {"before a closing quotation mark": closing})
    first = found[0]
    assert (first.proposal.feature, first.unit, first.layer) == (FEATURE, PLANTED, 0)
    assert first.confirmed
    assert abs(first.proposal.correlation) > 0.95 > first.proposal.null
    for kind in ("where it ends", "before a closing quotation mark"):
        silenced = first.silenced[kind]
        assert silenced.counts
        assert silenced.after - silenced.before > 1
        assert silenced.after - silenced.before > 10 * silenced.others
    begins = first.silenced["where it begins"]
    assert abs(begins.after - begins.before) < 0.2


def test_what_follows_but_is_not_needed_is_not_confirmed():
    """The same unit, whose output nobody reads: whatever other kinds of steps cost, it is not for its feature."""
    written = text(3000)
    net = model()
    net.output.weight[:, PLANTED] = 0
    features = {"inside": text_features(written)[FEATURE][:, None]}
    [found] = name_units(net, cost_of(written), features)
    assert found.unit == PLANTED
    assert not found.confirmed


def rows_model():
    """Its unit 5 keeps a running mean of what it reads, and the answer to a row is the sign of that."""
    random, H = np.random.default_rng(1), HIDDEN
    W, U, b = random.normal(size=(4 * H, 1)) / 2, random.normal(size=(4 * H, H)) / 8, random.normal(size=4 * H) / 4
    i, f, g, o = (k * H + PLANTED for k in range(4))
    for gate in (i, f, g, o):
        U[gate] = W[gate] = 0
    W[g], b[[i, f, g, o]] = 1, [-2, 2, 0, 3]
    output = random.normal(size=(1, H)) / 10
    output[0, PLANTED] = 8
    part = network.Recurrent(cell=cells.find("lstm"), input_size=1, hidden_size=H)
    weights = {"weight_ih_l0": W, "weight_hh_l0": U, "bias_ih_l0": b, "bias_hh_l0": 0 * b}
    named = {f"layers.{name}": array.astype(np.float32) for name, array in weights.items()}
    named |= {"output.weight": output.astype(np.float32), "output.bias": np.zeros(1, np.float32)}
    return network_of(network.Block({"layers": part, "output": network.Linear(H, 1)}), named)


def rows_cost(x, lengths):
    def odds(net):
        y, _ = net.layers(x.astype(np.float32), lengths=lengths)
        return net.output(y[lengths - 1, np.arange(len(lengths))])[:, 0]

    own = np.sign(odds(rows_model()))
    return lambda net: np.log1p(np.exp(-own * odds(net)))


def test_a_unit_that_the_answer_to_whole_rows_needs():
    """One cost for each row: what its feature tells apart are rows, and rows of the first half name the unit."""
    random, B = np.random.default_rng(3), 90
    lengths = random.integers(20, 40, B)
    x = np.stack([smooth(random, lengths.max()) for _ in range(B)], 1)[..., None]
    rows = [number_features(x[:count, row], ["load"], constant=True) for row, count in enumerate(lengths)]
    found = name_units(rows_model(), rows_cost(x, lengths), of_rows(rows))
    mean = next(one for one in found if one.proposal.feature == "mean of the last 10 of load")
    assert mean.unit == PLANTED
    assert mean.confirmed
    assert abs(mean.proposal.correlation) > 0.9
    assert set(mean.silenced) == {"while it is on", "while it is off"}
    unseen = np.cumsum(lengths) - lengths >= lengths.sum() // 2
    assert sum(one.steps for one in mean.silenced.values()) == unseen.sum()
    noise = {f"noise {k}": smooth(random, lengths.max(), B) for k in range(12)}
    assert not any(one.confirmed for one in name_units(rows_model(), rows_cost(x, lengths), noise))
    with pytest.raises(DataError, match=r"the kind 'odd' has the shape \(3,\), where there are 90 rows"):
        name_units(rows_model(), rows_cost(x, lengths), of_rows(rows), {"odd": np.zeros(3)})


def test_on_noise_hardly_anything_is_named():
    """At most one of twenty times, though 8 features look for their best of 32 units."""
    random, named = np.random.default_rng(5), 0
    for _ in range(200):
        features = {str(k): (smooth(random, 400) > 0).astype(float) for k in range(8)}
        named += any(one.holds for one in propose(smooth(random, 400, 32), features))
    assert named <= 10


def test_what_shifts_find_too_is_not_named():
    """A unit that counts steps and a feature that grows: there is one copy of it, and no null."""
    steps = np.arange(1000.0)
    [proposal] = propose(np.stack([steps, np.sin(steps)], 1), {"grows": steps})
    assert not proposal.holds


def test_a_feature_of_every_other_step_has_no_copies_to_be_compared_with():
    random = np.random.default_rng(0)
    on = np.arange(400) % 2 == 1
    [found] = propose(np.stack([on + 0.1 * random.normal(size=400), random.normal(size=400)], 1), {"odd": on})
    assert found.unit == 0
    assert found.correlation > 0.9
    assert not found.holds  # any unit that alternates would follow it


def test_features_may_be_booleans():
    random = np.random.default_rng(0)
    on = random.random(400) > 0.5
    states = np.stack([random.normal(size=400), on + 0.1 * random.normal(size=400)], 1)
    assert propose(states, {"on": on}) == propose(states, {"on": on.astype(float)})
    assert propose(states, {"on": on})[0].holds


def test_features_of_other_lengths_are_refused():
    with pytest.raises(DataError, match="'odd' has 99 steps, where the network has 100"):
        propose(np.zeros((100, 2)), {"odd": np.zeros(99)})
    with pytest.raises(DataError, match=r"the feature 'odd' has the steps and rows \(99, 1\).* \(100, 1\)"):
        name_units(model(), cost_of(text(100)), {"odd": np.zeros((99, 1))})
    with pytest.raises(DataError, match=r"no recurrent layer runs the steps and rows \(3, 2\)"):
        name_units(model(), lambda net: (cost_of(text(100))(net), np.zeros((3, 2)))[1], {})


def values(found, name):
    return found[name].astype(int).tolist()


def test_features_of_a_text():
    found = text_features("""He said "it's (on)".\n  # x1 «B»""")
    assert values(found, 'inside "…"') == [0] * 8 + [1] * 10 + [0] * 13
    assert "inside '…'" not in found  # an apostrophe is none
    assert values(found, "depth of brackets") == [0] * 14 + [1] * 3 + [0] * 14
    assert values(found, "column")[19:24] == [20, 0, 1, 2, 3]
    assert values(found, "indentation")[20:26] == [0, 1, 2, 2, 2, 2]
    assert values(found, "position in the word")[:8] == [1, 2, 0, 1, 2, 3, 4, 0]
    assert values(found, "words since the sentence began")[:10] == [1, 1, 1, 2, 2, 2, 2, 2, 2, 3]
    assert values(found, "words since the sentence began")[19] == 0
    assert values(found, "capital letter") == [1] + [0] * 28 + [1, 0]
    assert values(found, "after # in the line")[20:25] == [0, 0, 0, 1, 1]
    assert values(found, "inside «…»")[-3:] == [1, 1, 0]


def test_features_of_words_are_those_after_their_last_character():
    whole, parts = text_features("A «b» c."), text_features(["A", " «", "b", "»", " c", "."])
    ends = np.cumsum([1, 2, 1, 1, 2, 1]) - 1
    for name, found in parts.items():
        np.testing.assert_array_equal(found, whole[name][ends])


def test_single_quotation_marks_and_chinese():
    assert values(text_features("x 'a b' y"), "inside '…'") == [0, 0, 1, 1, 1, 1, 0, 0, 0]
    assert values(text_features("他说《书》。好"), "inside 《…》") == [0, 0, 1, 1, 0, 0, 0]
    assert values(text_features("他说《书》。好"), "characters since the sentence began") == [1, 2, 3, 4, 5, 0, 1]


def test_features_of_numbers():
    series = np.array([0.0, 1, 3, 2, 1, 5, 4, -1])[:, None]
    found = number_features(series, ["load"], period=4)
    assert values(found, "steps since the last peak of load") == [0, 1, 2, 0, 1, 2, 0, 1]
    assert values(found, "slope of load") == [0, 1, 2, -1, -1, 4, -1, -5]
    np.testing.assert_allclose(found["phase, sine"][:5], [0, 1, 0, -1, 0], atol=1e-12)
    missing = number_features(series, missing=np.array([0, 1, 1, 0, 1, 0, 0, 0], bool)[:, None])
    assert values(missing, "steps for which 1 is missing") == [0, 1, 2, 0, 1, 0, 0, 0]


def test_features_of_times_and_means():
    times = np.datetime64("2024-03-01T06:00") + np.arange(48) * np.timedelta64(1, "h")  # a Friday
    found = number_features(np.arange(48.0)[:, None] // 3, ["load"], times=times)
    assert values(found, "weekend") == [0] * 18 + [1] * 30
    np.testing.assert_allclose(found["hour of the day, sine"][[0, 6, 12]], [1, 0, -1], atol=1e-12)
    assert values(found, "steps since load changed")[:7] == [0, 1, 2, 0, 1, 2, 0]
    assert values(found, "position") == list(range(48))
    np.testing.assert_allclose(
        found["mean of the last 10 of load"][[0, 3, 47]], [0, 0.25, np.mean(np.arange(38, 48) // 3)]
    )


def test_features_of_several_rows_vary_between_them_or_in_them():
    rows = [{"level": np.full(2, k), "same": np.ones(2), "inside PER": np.arange(2.0)} for k in (1.0, 2.0)]
    del rows[0]["inside PER"]
    found = of_rows([*rows, {"level": np.array([3.0]), "same": np.ones(1)}])
    assert found.keys() == {"level", "inside PER"}
    assert found["level"].tolist() == [[1, 2, 3], [1, 2, 0]]
    assert found["inside PER"].tolist() == [[0, 0, 0], [0, 1, 0]]


def test_features_of_tags():
    found = tag_features(["O", "B-PER", "I-PER", "B-PER", "O", "B-LOC"])
    assert values(found, "inside an entity") == [0, 1, 1, 1, 0, 1]
    assert values(found, "inside PER") == [0, 1, 1, 1, 0, 0]
    assert values(found, "steps of the entity so far") == [0, 1, 2, 1, 0, 1]
