import pytest

from gatewise.bench.shapes import DEFAULT, Shape
from gatewise.errors import OptionError


@pytest.mark.parametrize(
    ("text", "shape"), [("2,3,4,5", Shape(2, 3, 4, 5)), (" 20,35,650,650x2 ", Shape(20, 35, 650, 650, 2))]
)
def test_a_shape_is_read_and_written(text, shape):
    assert Shape.read(text) == shape
    assert str(shape) == text.strip()


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "1,2,3,0", "-1,2,3,4", "1,2,3,4x0", "1,2,3,4x", "a,b,c,d"])
def test_what_is_no_shape_is_refused(text):
    with pytest.raises(OptionError, match=f"--shape takes .*not '{text}'"):
        Shape.read(text)


def test_the_default_shapes_fit_the_table():
    assert all(len(str(shape)) <= 15 for shape in DEFAULT)
