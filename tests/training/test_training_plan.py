import math

import pytest

from gatewise.errors import OptionError
from gatewise.training import Plan


def test_the_rate_warms_up_then_falls_along_a_cosine_to_its_fraction():
    plan = Plan(steps=101, evaluate_every=10, learning_rate=0.1, warmup=4, final_rate=0.2)
    assert [plan.rate(step) for step in range(5)] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    assert plan.rate(52) == pytest.approx(0.1 * 0.6)  # half way from 4 to 100
    assert plan.rate(100) == pytest.approx(0.02)
    rates = [plan.rate(step) for step in range(4, 101)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0, 1])
def test_the_shortest_plans_have_rates(steps, warmup):
    plan = Plan(steps=steps, evaluate_every=1, learning_rate=0.1, warmup=warmup)
    assert all(0 < plan.rate(step) <= 0.1 for step in range(steps))


def test_a_final_rate_of_one_is_constant():
    plan = Plan(steps=9, evaluate_every=3, learning_rate=0.1, final_rate=1)
    assert {plan.rate(step) for step in range(9)} == {0.1}


def test_validation_follows_every_stretch_and_the_last_step():
    plan = Plan(steps=8, evaluate_every=3)
    assert [step for step in range(9) if plan.evaluates_at(step)] == [3, 6, 8]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("steps", 2.5),
        ("steps", True),
        ("evaluate_every", 0),
        ("learning_rate", 0),
        ("learning_rate", math.nan),
        ("learning_rate", "fast"),
        ("warmup", -1),
        ("warmup", 11),
        ("final_rate", 1.5),
        ("weight_decay", -0.1),
        ("betas", (0.9, 1.0)),
        ("betas", (0.9,)),
        ("clip", 0),
        ("clip", math.inf),
        ("patience", 0),
        ("seed", -1),
        ("precision", "16-mixed"),
    ],
)
def test_an_impossible_value_is_named(name, value):
    with pytest.raises(OptionError) as caught:
        Plan(**{"steps": 10, "evaluate_every": 5, name: value})
    assert name in str(caught.value)
    shown = value[-1] if name == "betas" and len(value) == 2 else value
    assert str(shown) in str(caught.value)


@pytest.mark.parametrize(("steps", "every"), [(26, 6), (24, 6), (5, 9), (7, 1)])
def test_validations_are_counted_as_they_are_made(steps, every):
    plan = Plan(steps=steps, evaluate_every=every)
    for step in range(steps + 1):
        assert plan.evaluations(step) == sum(plan.evaluates_at(earlier) for earlier in range(step + 1))
