import pytest

from gatewise import cells
from gatewise.bench.limits import Ceilings, Demand, Part, parts
from gatewise.bench.problem import pose
from gatewise.bench.shapes import Shape
from gatewise.bench.works import WORKS

SHAPE = Shape(B=2, T=3, D=5, H=8)


def flops(work, shape=SHAPE):
    return sum(part.flops for part in parts(pose(WORKS[work], shape, 1)))


def test_products_are_counted_as_by_hand():
    rows, of_input, carried = 2 * 3, 4 * 8 * 5, 4 * 8 * 8
    assert flops("forward") == 2 * rows * (of_input + carried)
    assert flops("training-dx") == 3 * flops("forward")
    assert flops("training") == 3 * flops("forward") - 2 * rows * of_input
    assert flops("gru") * 4 == flops("forward") * 3
    assert flops("peephole") == flops("forward")
    # Projected to 4: W is as before, U reads 4 values, P has 4 x 8.
    assert flops("projected") == 2 * rows * (4 * 8 * 5 + 4 * 8 * 4 + 4 * 8)
    assert flops("step") * rows == flops("forward")


def test_a_second_layer_reads_the_first_and_always_needs_its_gradient():
    rows, first, second = 6, 4 * 8 * (5 + 8), 4 * 8 * (8 + 8)
    two = Shape(2, 3, 5, 8, layers=2)
    assert flops("forward", two) == 2 * rows * (first + second)
    assert flops("training", two) == 3 * flops("forward", two) - 2 * rows * 4 * 8 * 5


def test_padding_is_not_counted():
    problem = pose(WORKS["ragged"], Shape(50, 7, 5, 8), 1)
    assert set(problem.lengths.tolist()) == {4, 5, 6, 7}
    found = sum(part.flops for part in parts(problem))
    assert found == 2 * int(problem.lengths.sum()) * 4 * 8 * (5 + 8)


def test_carried_weights_are_read_at_every_step_and_those_of_the_input_once():
    at_once, stepwise = parts(pose(WORKS["forward"], SHAPE, 1))
    assert at_once.bytes == 4 * (4 * 8 * 5)
    assert stepwise.bytes == 4 * (4 * 8 * 8) * 3
    assert at_once.working_set == 4 * 4 * 8 * (5 + 8)


@pytest.mark.parametrize(
    ("gigaflops", "gigabytes", "call", "rule", "floor"),
    [
        (1.0, 1e6, 1e-9, "compute", 3e-3),
        (1e6, 1.0, 1e-9, "weights", 5e-3),
        (1e6, 1e6, 1.0, "latency", 1.0),
        (0.5, 1.0, 1e-9, "compute", 2e-3 + 4e-3),  # each part takes what is slower for it
    ],
)
def test_the_rule_is_what_takes_longest(gigaflops, gigabytes, call, rule, floor):
    ceilings = Ceilings(1, 0.001)
    ceilings._arithmetic, ceilings._bandwidth = (gigaflops * 1e9, "hand"), {2**14: gigabytes * 1e9}
    ceilings._latency = {"call": call}
    demand = Demand((Part(1e6, 1e6, 100), Part(2e6, 4e6, 2**14)), "call")
    limit = ceilings.limit(demand)
    assert (limit.rule, limit.flops) == (rule, 3e6)
    assert limit.floor == pytest.approx(floor)


def test_units_in_heads_have_a_smallest_layer_of_their_own():
    ceilings = Ceilings(1, 0.001)
    demand = ceilings.ask(pose(WORKS["cell"], SHAPE, 1, own=cells.find("slstm")))
    assert ceilings.limit(demand).flops == 2 * 6 * (4 * 8 * 5 + 4 * 8 * 2)


def test_ceilings_are_the_most_that_was_seen():
    ceilings = Ceilings(1, 0.001)
    problem = pose(WORKS["forward"], SHAPE, 1)
    first = ceilings.limit(ceilings.ask(problem))
    again = ceilings.limit(ceilings.ask(problem))
    assert 0 < again.floor <= first.floor
    document = ceilings.document()
    assert 0 < document["gflops"] < 1e5
    assert list(document["weights_gigabytes_per_second"]) == ["16 KiB"]
    assert list(document["call_microseconds"]) == ["forward of lstm, 1 layers"]
