"""What the options of the tasks may be, whatever the data: one row for each, under one name in all tasks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from .. import cells
from ..algebra import Cell
from ..data.split import split
from ..errors import OptionError, suggest

# (factor of the units, factor of the passes)
PRESETS = {"small": (0.5, 0.5), "medium": (1.0, 1.0), "large": (1.5, 1.5)}

_MOST = 2**31 - 1  # of any size
WHOLE = {  # option -> least and most; None stands for "chosen here" or "no limit"
    "batch_size": (1, _MOST),
    "batch_tokens": (1, _MOST),
    "channels": (1, _MOST),
    "chunk_length": (1, _MOST),
    "context": (1, 100_000),
    "embedding_size": (1, _MOST),
    "ensemble": (1, 100),
    "gap": (0, _MOST),
    "hidden_size": (1, _MOST),
    "image_size": (8, 4096),
    "horizon": (1, 100_000),
    "letters_size": (1, _MOST),
    "maps": (0, _MOST),
    "memory": (100, _MOST),
    "min_frequency": (1, _MOST),
    "min_length": (1, _MOST),
    "mixtures": (1, 1000),
    "num_layers": (1, 1000),
    "patience": (1, _MOST),
    "proj_size": (0, _MOST),
    "samples": (1, 1_000_000),
    "season": (1, _MOST),
    "seed": (0, 2**63 - 1),
    "smoothing": (1, 100_000),
    "stack": (1, 1000),
    "stride": (1, _MOST),
    "threads": (1, 1024),
    "vocabulary_size": (1, _MOST),
    "window": (2, 100_000),
}
REAL = {  # option -> what it must be, in words and as a test
    "activation_penalty": ("0 or more", lambda v: v >= 0),
    "clip": ("above 0", lambda v: v > 0),
    "dropout": ("from 0 to below 1", lambda v: 0 <= v < 1),
    "epochs": ("above 0, up to 1,000,000", lambda v: 0 < v <= 1e6),
    "false_alarm_rate": ("above 0, up to 0.5", lambda v: 0 < v <= 0.5),
    "forget_bias": ("from -100 to 100", lambda v: abs(v) <= 100),
    "frequency_mask": ("from 0 to 1", lambda v: 0 <= v <= 1),
    "label_smoothing": ("from 0 to below 1", lambda v: 0 <= v < 1),
    "learning_rate": ("above 0, up to 10", lambda v: 0 < v <= 10),
    "recurrent_dropout": ("from 0 to below 1", lambda v: 0 <= v < 1),
    "scheduled_sampling": ("from 0 to 1", lambda v: 0 <= v <= 1),
    "temporal_activation_penalty": ("0 or more", lambda v: v >= 0),
    "time_mask": ("from 0 to 1", lambda v: 0 <= v <= 1),
    "time_warp": ("from 0 to below 0.5", lambda v: 0 <= v < 0.5),
    "variation": ("0 or more, up to 5", lambda v: 0 <= v <= 5),
    "weight_decay": ("0 or more", lambda v: v >= 0),
    "weight_dropout": ("from 0 to below 1", lambda v: 0 <= v < 1),
    "word_dropout": ("from 0 to below 1", lambda v: 0 <= v < 1),
    "zoneout": ("from 0 to below 1", lambda v: 0 <= v < 1),
}
NAMED = {  # option -> what one of its names is called, and the names
    "preset": ("preset", tuple(PRESETS)),
    "duplicates": ("rule for duplicates", ("error", "first", "last", "mean")),
}
FLAGS = {
    "bidirectional",
    "calendar",
    "copying",
    "crf",
    "input_feeding",
    "joint",
    "repair",
    "shared_vocabulary",
    "tie_weights",
    "variational_dropout",
}
NONE_IS_OFF = {"clip", "patience"}  # options that None switches off; elsewhere it is possible where it is usual


LEAST_VOCABULARY = {"words": 3, "byte-pairs": 256}  # two special tokens and a word; every byte


def names(option: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names in an option that is one, several with commas between, a list of them, or None."""
    if isinstance(option, str):
        return tuple(name.strip() for name in option.split(","))
    return tuple(option or ())


def given_or(option: Any, usual: Any) -> Any:
    """An option, or what is usual where it was left open."""
    return usual if option is None else option


def sized(options: Any, usual: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes and rates by name, as the estimator was given them, in the type of what is usual; or else what is."""
    given = {name: getattr(options, name) for name in usual}
    return {name: value if given[name] is None else type(value)(given[name]) for name, value in usual.items()}


def check_options(estimator: Any, names: Mapping[str, tuple[str, Collection[str]]] = NAMED) -> None:
    """Refuse what no data could make possible.

    Args:
        estimator: Its options are looked at.
        names: Options that are one of several names, beyond those that all tasks have: as in `NAMED`.

    Raises:
        OptionError: Names the option, its value and what is possible.
    """
    usual = inspect.signature(type(estimator)).parameters
    options = estimator.get_params(deep=False)
    may_be_none = NONE_IS_OFF | {name for name, parameter in usual.items() if parameter.default is None}
    check_values({n: v for n, v in options.items() if v is not None or n not in may_be_none}, names)
    if "cell" in options and "proj_size" not in options:
        cell = options["cell"] if isinstance(options["cell"], Cell) else cells.find(options["cell"])
        if cell.projected:
            raise OptionError(f"the cell '{cell.name}' needs a proj_size, which is no option here. Take lstm instead")


def check_values(given: Mapping[str, Any], names: Mapping[str, tuple[str, Collection[str]]] = NAMED) -> None:
    """The same for options by name, none of which may be None."""
    for name, (kind, known) in {**NAMED, **names}.items():
        if name in given and (not isinstance(given[name], str) or given[name] not in known):
            raise OptionError(suggest(kind, str(given[name]), known))
    if "cell" in given and not isinstance(given["cell"], str | Cell):
        raise OptionError(f"cell must be a Cell or the name of one, not {given['cell']!r:.60}")
    for name in filter(given.__contains__, WHOLE):
        _whole(name, given[name], *WHOLE[name])
    for name in filter(given.__contains__, REAL):
        value, (wanted, fits) = given[name], REAL[name]
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or not fits(value):
            raise OptionError(f"{name} must be a number {wanted}, not {value!r:.60}")
    for name in filter(given.__contains__, FLAGS):
        if not isinstance(given[name], bool):
            raise OptionError(f"{name} must be true or false, not {given[name]!r:.60}")
    if "split" in given:
        _shares(given["split"])


def shares_of(split: Sequence[float], targets_apart: bool, validated_apart: bool) -> tuple[float, float, float]:
    """Shares of the three parts; what is not held out is learned from.

    Args:
        split: The option.
        targets_apart: Targets were given beside the data, as scikit-learn does, which tests on data of its own.
        validated_apart: So was validation data: files are cut already, then.
    """
    train, validation, test = (float(share) for share in split)
    if validated_apart:
        return (1.0, 0.0, 0.0)
    return (train + test, validation, 0.0) if targets_apart else (train, validation, test)


def check_tokens(tokens: str, vocabulary_size: int | None, min_frequency: int) -> None:
    """Refuse limits that its kind of tokens cannot have. OptionError."""
    if tokens == "characters" and (vocabulary_size is not None or min_frequency != 1):
        limit = "vocabulary_size" if vocabulary_size is not None else "min_frequency"
        raise OptionError(
            f"{limit} is for words and byte-pairs; characters are kept all. Leave it out, or name other tokens"
        )
    if vocabulary_size is not None:
        _whole("vocabulary_size", vocabulary_size, LEAST_VOCABULARY[tokens], _MOST)


def _shares(value: Any) -> None:
    try:
        split(1, value)
    except OptionError as error:
        raise OptionError(str(error).replace("fractions", "split", 1)) from None


def _whole(name: str, value: Any, least: int, most: int) -> None:
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if number is None or not least <= number <= most:
        wanted = f"{least} or more" if number is None or number < least else f"from {least} to {most}"
        raise OptionError(f"{name} must be a whole number, {wanted}, not {value!r:.60}")
