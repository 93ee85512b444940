import math

import numpy as np
import pytest

from gatewise.checks import number, whole
from gatewise.errors import OptionError


def test_whole_numbers_come_back_as_ints():
    for value in (3, np.int64(3), np.uint8(3)):
        found = whole("size", value, 1, 3)
        assert found == 3
        assert type(found) is int


@pytest.mark.parametrize("value", [0, 2.0, True, "3", None, np.float32(2), math.nan])
def test_anything_else_is_refused_by_name_and_value(value):
    with pytest.raises(OptionError) as caught:
        whole("size", value, 1)
    assert str(caught.value) == f"size must be a whole number, 1 or more, not {value!r}"


def test_the_upper_end_is_named_where_it_is_passed():
    with pytest.raises(OptionError, match=r"^size must be a whole number, from 1 to 9, not 10$"):
        whole("size", 10, 1, 9)
    with pytest.raises(OptionError, match=r"^size must be a whole number, 1 or more, not 0\. Leave it out\.$"):
        whole("size", 0, 1, 9, hint="Leave it out.")


def test_numbers_come_back_as_floats():
    for value in (2, 2.0, np.float32(2), np.int8(2)):
        found = number("rate", value, "above 0", lambda v: v > 0)
        assert found == 2
        assert type(found) is float


@pytest.mark.parametrize("value", [0, -1.5, math.nan, math.inf, True, "1", None, 1j])
def test_other_values_than_numbers_in_range_are_refused(value):
    with pytest.raises(OptionError) as caught:
        number("rate", value, "above 0", lambda v: v > 0)
    assert str(caught.value) == f"rate must be a number above 0, not {value!r}"


def test_a_long_value_is_cut_short():
    with pytest.raises(OptionError) as caught:
        number("rate", "x" * 1000)
    assert str(caught.value) == f"rate must be a number, not {('x' * 1000)!r:.60}"
