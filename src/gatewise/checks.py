"""Checks of options: a whole number, a number in a range. One message for each, whoever asks."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from .errors import OptionError


def whole(name: str, value: Any, least: int, most: int | None = None, hint: str = "") -> int:
    """The value as an int, if it is a whole number in a range; numpy's integers are, booleans are not.

    Args:
        name: What the option is called.
        least, most: The range, both ends included; without `most` there is no upper end.
        hint: A sentence to add to the error, such as how to ask for no limit.

    Raises:
        OptionError: It is not.
    """
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if number is None or number < least or (most is not None and number > most):
        # Of a number that is too large, both ends are worth knowing; else the upper one would only be noise.
        wanted = f"{least} or more" if number is None or number < least else f"from {least} to {most}"
        raise OptionError(_with_hint(f"{name} must be a whole number, {wanted}, not {value!r:.60}", hint))
    return number


def number(
    name: str, value: Any, wanted: str = "", fits: Callable[[Any], bool] = lambda _: True, hint: str = ""
) -> float:
    """The value as a float, if it is a finite number that fits; booleans do not count as numbers.

    Args:
        name: What the option is called.
        wanted: The range in words, as they follow "must be a number".
        fits: The range as a test.
        hint: A sentence to add to the error.

    Raises:
        OptionError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or not fits(value):
        range_ = f" {wanted}" if wanted else ""
        raise OptionError(_with_hint(f"{name} must be a number{range_}, not {value!r:.60}", hint))
    return float(value)


def _with_hint(message: str, hint: str) -> str:
    return f"{message}. {hint}" if hint else message
