import pytest

from gatewise.bench import memory
from gatewise.bench.shapes import Shape


@pytest.mark.skipif(not memory.measurable(), reason="this system does not tell a process its peak")
def test_training_keeps_at_least_its_output():
    shape = Shape(B=64, T=100, D=8, H=64)
    found = memory.peak("gatewise", "training", shape, threads=1)
    output = 4 * shape.T * shape.B * shape.H
    assert 2 * output < found < 30 * output


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="KeyError: 'dreaming'"):
        memory.peak("gatewise", "dreaming", Shape(1, 1, 1, 1), threads=1)
