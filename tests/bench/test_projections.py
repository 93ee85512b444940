"""What several processes would cost, from parts whose times are made up."""

import pytest

from benchmarks.projections import MESSAGE, Link, Step

SIZES = [4**power for power in range(3, 12)]


def exchanged(message, bandwidth):
    """Seconds of a sum of two processes, which is two messages that carry the bytes once in all."""
    return {str(size): 2 * message + size / bandwidth for size in SIZES}


def parts(rows, fixed, row, sizes=(1, 2, 4, 8)):
    seconds = {
        str(size): {"batch": 0.01, "compute": fixed + row * rows / size, "copies": 0.02, "optimiser": 0.03}
        for size in sizes
    }
    return {"rows": rows, "seconds": seconds, "sums": 5, "bytes": 4_000_000}


def test_what_was_put_in_is_found():
    link = Link.measured(exchanged(1e-4, 1e9))
    assert link.message == pytest.approx(1e-4, rel=0.01)
    assert link.bandwidth == pytest.approx(1e9, rel=0.01)
    step = Step.measured(parts(16, 0.5, 0.25))
    assert (step.fixed, step.row, step.every, step.copies) == pytest.approx((0.5, 0.25, 0.04, 0.02))


def test_a_step_is_its_parts():
    step, link = Step.measured(parts(16, 0.5, 0.25)), Link(1e-3, 1e8)
    assert step.seconds(1, link) == pytest.approx(0.04 + 0.5 + 16 * 0.25)
    # Three ranks: one has six rows; four messages for each of five sums, and 4/3 of the bytes.
    exchange = 4 * 5 * 1e-3 + 4 / 3 * 4e6 / 1e8
    assert step.seconds(3, link) == pytest.approx(0.04 + 0.5 + 6 * 0.25 + 0.02 + exchange)


def test_more_help_until_messages_take_longer_than_rows():
    step = Step.measured(parts(64, 0.0, 0.01))
    assert step.best(Link(0.0, 1e12)) == 64
    few = step.best(Link(1e-3, 1e12))
    assert 1 < few < 64
    assert step.seconds(few, Link(1e-3, 1e12)) == min(step.seconds(n, Link(1e-3, 1e12)) for n in range(1, 65))
    assert step.best(Link(1.0, 1e12)) == 1


def test_a_network_comes_on_top():
    link = Link(1e-4, 1e9).through(1e9 / 8)
    assert link.message == pytest.approx(1e-4 + MESSAGE)
    assert 1 / link.bandwidth == pytest.approx(1e-9 + 8e-9)
