"""Volume under the surface of precision and recall."""

import numpy as np
import pytest

from gatewise.metrics.vus import vus_pr


def case(seed, n=600):
    rng = np.random.default_rng(seed)
    truth = np.zeros(n, int)
    for start, length in ((100, 20), (300, 1), (450, 60)):
        truth[start : start + length] = 1
    return truth, rng.normal(size=n) + 1.5 * truth * (rng.random(n) < 0.6)


@pytest.mark.parametrize(
    ("seed", "window", "published"),
    [
        (0, 0, 0.33524151832616356),
        (0, 10, 0.33981705731078465),
        (0, 40, 0.38502373465800316),
        (1, 0, 0.37843779048627757),
        (1, 10, 0.4147518654518402),
        (1, 40, 0.4638103154574164),
        (2, 0, 0.39054385358667126),
        (2, 10, 0.38667637142665784),
        (2, 40, 0.42034452462812993),
    ],
)
def test_it_is_what_the_authors_package_says(seed, window, published):
    """`RangeAUC_volume` of the package vus 0.0.6, by the authors of the measure."""
    assert vus_pr(*case(seed), window) == pytest.approx(published, rel=1e-9)


def test_perfect_and_useless_scores():
    truth, _ = case(0)
    assert vus_pr(truth, truth.astype(float), 0) == pytest.approx(1, abs=0.03)
    flat = vus_pr(truth, np.zeros(len(truth)), 0)
    assert flat < 0.6
    assert np.isnan(vus_pr(np.zeros(50), np.arange(50.0)))


def test_no_order_preserving_change_matters():
    truth, scores = case(3)
    assert vus_pr(truth, scores, 20) == vus_pr(truth, np.exp(3 * scores), 20)
