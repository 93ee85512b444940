"""Named units: a planted one is found and confirmed, noise is not named."""

import numpy as np
import pytest

from benchmarks.explain.units import FEATURE, PLANTED, cost_of, model, smooth, text
from gatewise.errors import DataError
from gatewise.explanation import name_units, propose
from gatewise.explanation.features import number_features, tag_features, text_features


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


def test_features_of_tags():
    found = tag_features(["O", "B-PER", "I-PER", "B-PER", "O", "B-LOC"])
    assert values(found, "inside an entity") == [0, 1, 1, 1, 0, 1]
    assert values(found, "inside PER") == [0, 1, 1, 1, 0, 0]
    assert values(found, "steps of the entity so far") == [0, 1, 2, 1, 0, 1]
