"""Checks of options: an integer or a number in a range, with the same message everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from .errors import OptionError


def whole(name: str, value: Any, least: int, most: int | None = None, hint: str = "") -> int:
    """The value as an int, if it is an integer in a range. numpy's integers are accepted, booleans are not.

    Args:
        name: Name of the option.
        least, most: The range, both ends included. Without `most` there is no upper end.
        hint: A sentence to add to the error, such as how to ask for no limit.

    Raises:
        OptionError: The value is something else.
    """
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if number is None or number < least or (most is not None and number > most):
        # The upper end matters only if the number is too large.
        wanted = f"{least} or more" if number is None or number < least else f"from {least} to {most}"
        raise OptionError(_with_hint(f"{name} must be a whole number, {wanted}, not {value!r:.60}", hint))
    return number


def number(
    name: str, value: Any, wanted: str = "", fits: Callable[[Any], bool] = lambda _: True, hint: str = ""
) -> float:
    """The value as a float, if it is a finite number in a range. Booleans are not accepted.

    Args:
        name: Name of the option.
        wanted: The range in words, as they follow "must be a number".
        fits: Whether a number is in the range.
        hint: A sentence to add to the error.

    Raises:
        OptionError: The value is something else.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not _finite(value) or not fits(value):
        range_ = f" {wanted}" if wanted else ""
        raise OptionError(_with_hint(f"{name} must be a number{range_}, not {value!r:.60}", hint))
    return float(value)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond what a float can hold
        return False


def _with_hint(message: str, hint: str) -> str:
    return f"{message}. {hint}" if hint else message
