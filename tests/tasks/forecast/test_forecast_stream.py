"""Forecasts that follow a series as its steps arrive."""

import numpy as np
import pytest

from gatewise.errors import DataError, OptionError
from gatewise.tasks import Forecaster

SMALL = {"hidden_size": 4, "epochs": 1, "threads": 1, "horizon": 4, "context_length": 12, "time": "at"}
AT = (np.datetime64("2024-01-01T00:00") + np.arange(300) * np.timedelta64(1, "h")).astype(str).tolist()
RNG = np.random.default_rng(2)


def rows(seed, **more):
    y = np.round(5 + 3 * np.sin(np.arange(300) / 4 + seed) + RNG.normal(size=300)).clip(0)
    given = {"at": AT, "y": y.tolist(), **more}
    return [dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)]


@pytest.fixture(scope="module")
def counts():
    return Forecaster(**SMALL, target="y", head="negative-binomial", samples=30, share=0.5).fit(rows(0))


def by_name(table):
    return {name: [row[name] for row in table] for name in table[0]}


def test_the_last_answer_is_that_of_predict(counts):
    table = rows(1)
    streams = counts.streams()
    assert set(streams.channels) == {"at", "y"}
    one = streams.open()
    for first, last in ((0, 1), (1, 90), (90, 91), (91, 120)):
        answer = streams.push({one: by_name(table[first:last])})[one]
        [whole] = counts.predictions(table[:last])
        assert answer["at"].tolist() == [time.isoformat() for time in whole["at"].tolist()]
        for name in whole.keys() - {"series", "at"}:
            np.testing.assert_array_equal(answer[name], whole[name], err_msg=name)
    assert answer["at"][0] == f"{AT[120]}:00"


def test_what_cannot_follow_changes_nothing(counts):
    table = rows(1)
    streams = counts.streams()
    one = streams.open()
    streams.push({one: by_name(table[:20])})
    before = streams.snapshot(one)
    for piece, why in (
        ({"at": AT[20], "y": -1}, "column 'y' is -1 in row"),
        ({"at": "soon", "y": 1}, "'soon' is no timestamp. Write it as 2024-05-31T18:00"),
        ({"at": "2024-01-01T20:17", "y": 1}, "frequency|hour|regular|fit"),
        ({"at": AT[3], "y": 1}, "Give the steps in the order of time"),
        ({"y": 1}, "the row has no 'at'. It needs: y, at"),
    ):
        with pytest.raises(DataError, match=why) as caught:
            streams.push({one: piece})
        assert "\n" not in str(caught.value)
        assert streams.snapshot(one) == before


def test_what_has_to_be_known_ahead_is_no_stream():
    table = rows(0, holiday=[float(k % 7 == 0) for k in range(300)])
    model = Forecaster(**SMALL, target="y", future_covariates=("holiday",)).fit(table)
    with pytest.raises(OptionError, match="has to know holiday ahead"):
        model.streams()
