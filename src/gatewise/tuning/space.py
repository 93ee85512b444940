"""What a search varies: few options of a task, each in a range about the value that `fit` would take.

Which ones, and how far, follows from what is known of LSTMs: the learning rate matters most, then the width, and the
rest less.

Source: Greff et al. (2017), "LSTM: a search space odyssey", IEEE Trans. Neural Netw. Learn. Syst. 28(10); Reimers &
Gurevych (2017), arXiv:1707.06799; Melis et al. (2018), "On the state of the art of evaluation in neural language
models", ICLR.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from .. import cells
from ..algebra import Cell
from ..errors import OptionError, suggest
from ..tasks.fields import DATA

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from ..tasks.estimator import Estimator

Setting = dict[str, Any]  # a value for each knob, by name

RATE, BATCHES = "learning_rate", ("batch_size", "batch_tokens")
_WIDTHS = ("hidden_size", "embedding_size")
_FACTORS = {RATE: 10.0, "hidden_size": 4.0, **dict.fromkeys(BATCHES, 4.0), "embedding_size": 2.0}  # about the default
_RANGES = {"dropout": (0.0, 0.6), "weight_decay": (0.001, 0.3)}
_ONE_MORE = ("num_layers",)  # or one less
_OF_SOME = {"embedding_size": ("translate", "caption")}  # where it always has a part in the network
_MOST_RATE = 10.0
_MULTIPLE = 8  # of widths, as the engine reads them
_LOG = 4.0  # a range whose end is so many times its beginning is searched by ratios

_SAME_FOR_ALL = {  # options that no search can vary -> why
    **dict.fromkeys(("seed", "threads", "precision"), "is the same for all trials"),
    **dict.fromkeys(("epochs", "preset", "patience", "minutes"), "says how long a trial takes, by which they compare"),
    **dict.fromkeys(
        ("only", "samples", "share", "false_alarm_rate", "smoothing", "history", "gap", "min_length"),
        "changes no training",
    ),
    **dict.fromkeys(
        (
            *("head", "mode", "scaling", "quantiles", "context_length", "joint", "crf", "class_weight", "distribution"),
            *("method", "window", "stop_on"),
        ),
        "changes what validation measures, so that trials do not compare",
    ),
}


@dataclass(frozen=True)
class Knob:
    """An option and the values that are tried.

    Attributes:
        default: What `fit` takes.
        low, high: Of numbers, the range.
        choices: Of others, and of numbers that were listed; else ().
        log: Whether ratios count rather than differences.
        whole: Whether only whole numbers will do.
    """

    name: str
    default: Any
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()
    log: bool = False
    whole: bool = False

    def at(self, place: float) -> Any:
        """The value at a place of the range, 0 <= place < 1."""
        if self.choices:
            return self.choices[int(place * len(self.choices))]
        if self.log:
            return self.rounded(self.low * (self.high / self.low) ** place)
        return self.rounded(self.low + (self.high - self.low) * place)

    def rounded(self, value: Any) -> Any:
        """The nearest value that is told apart: widths by 8, other numbers by two digits; within the range."""
        if self.choices:
            return value if value in self.choices else self.choices[0]
        if self.name in _WIDTHS and value > _MULTIPLE:
            value = _MULTIPLE * round(value / _MULTIPLE)
        elif self.log:
            value = float(f"{value:.2g}")
        elif not self.whole:
            value = round(value, 2)
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else float(value)

    def distribution(self) -> BaseDistribution:
        """The range for Optuna; the default lies in it, whatever the range."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(tuple(dict.fromkeys((*self.choices, self.default))))
        low, high = min(self.low, self.default), max(self.high, self.default)
        if self.whole:
            return IntDistribution(int(low), int(high), log=self.log)
        return FloatDistribution(low, high, log=self.log and low > 0)

    def text(self) -> str:
        """ "0.001 to 0.1, default 0.01" """
        values = ", ".join(map(_shown, self.choices)) if self.choices else f"{self.low:g} to {self.high:g}"
        return f"{values}; default {_shown(self.default)}"


@dataclass(frozen=True)
class Space:
    """All knobs of a search."""

    knobs: tuple[Knob, ...]

    @property
    def default(self) -> Setting:
        return {knob.name: knob.default for knob in self.knobs}

    def at(self, places: Sequence[float]) -> Setting:
        return {knob.name: knob.at(place) for knob, place in zip(self.knobs, places, strict=True)}

    def rounded(self, setting: Mapping[str, Any]) -> Setting:
        return {knob.name: knob.rounded(setting[knob.name]) for knob in self.knobs}

    def distributions(self) -> dict[str, BaseDistribution]:
        return {knob.name: knob.distribution() for knob in self.knobs}

    def options(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Of `fit`, for a setting: none for the default. The rate is that of batches of the default size; for others it
        follows the root of their size."""
        if setting == self.default:
            return {}
        found, defaults = dict(setting), self.default
        for name in BATCHES:
            if name in found and RATE in found:
                rate = found[RATE] * math.sqrt(found[name] / defaults[name])
                found[RATE] = min(float(f"{rate:.3g}"), _MOST_RATE)
        return found

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(knob) for knob in self.knobs]

    @classmethod
    def from_json(cls, knobs: Sequence[Mapping[str, Any]]) -> Space:
        return cls(tuple(Knob(**{**knob, "choices": tuple(knob["choices"])}) for knob in knobs))


def space_of(
    estimator: Estimator, sizes: Mapping[str, Any], ranges: Mapping[str, str], named: Collection[str] = ()
) -> Space:
    """What is searched for an estimator.

    Args:
        sizes: What its task chose for the options that were left open, by name.
        ranges: Of the user, by option: "32..512" or "lstm,gru". They come in addition to what is searched anyway.
        named: Options that the user gave, also those with the value that they have anyway. They are not searched.

    Raises:
        OptionError: There is no such option, it cannot be searched or is fixed, or the range is none.
    """
    known = {f.name: f for f in fields(estimator)}
    given = {name for name, f in known.items() if name in named or getattr(estimator, name) != f.default}
    knobs = {}
    for name in known:
        default = sizes.get(name, getattr(estimator, name))
        if name in ranges:
            continue
        if name not in given and isinstance(default, int | float) and (knob := _usual(estimator.task, name, default)):
            knobs[name] = knob
    for name, text in ranges.items():
        if name not in known:
            raise OptionError(suggest("option", name, known))
        if name in given:
            raise OptionError(f"{name} is both given, {getattr(estimator, name)!r}, and searched. Leave one out")
        default = sizes.get(name, getattr(estimator, name))
        knobs[name] = _asked(known[name], default.name if isinstance(default, Cell) else default, text)
    if not knobs:
        raise OptionError("every option that could be searched is given. Leave one out, or name another to search")
    return Space(tuple(knobs[name] for name in known if name in knobs))


def _usual(task: str, name: str, default: float) -> Knob | None:
    """The knob that a search has without being asked, if there is one."""
    whole = isinstance(default, int)
    if name in _RANGES:
        low, high = _RANGES[name]
        return Knob(name, default, low, high, log=low > 0)
    if name in _ONE_MORE:
        return Knob(name, default, max(1, default - 1), default + 1, whole=True)
    if name not in _FACTORS or task not in _OF_SOME.get(name, (task,)) or default <= 0:
        return None
    low, high = default / _FACTORS[name], default * _FACTORS[name]
    if whole:
        least = min(_MULTIPLE, int(default)) if name in _WIDTHS else 1
        low, high = max(least, math.ceil(low)), math.floor(high)
    else:
        low, high = float(f"{low:.2g}"), float(f"{min(high, _MOST_RATE):.2g}")
    return Knob(name, default, low, high, log=True, whole=whole)


def _asked(field: Any, default: Any, text: str) -> Knob:
    """The knob of a range that the user gave."""
    name = field.name
    if field.metadata["panel"] == DATA:
        raise OptionError(f"{name} says how data are read, which is the same for all trials. Give it one value")
    if name in _SAME_FOR_ALL:
        raise OptionError(f"{name} {_SAME_FOR_ALL[name]}. Give it one value")
    kinds = get_args(field.type) if get_origin(field.type) in (Union, UnionType) else (field.type,)
    numeric = next((kind for kind in (int, float) if kind in kinds), None)
    if default is None:
        raise OptionError(f"{name} has no value in this fit to search about. Give it one value")
    if ".." in text:
        if numeric is None or isinstance(default, bool):
            raise OptionError(f"{name} is no number: list its values with commas between")
        low, high = (_value(field, end, numeric) for end in text.split("..", 1))
        if not low < high:
            raise OptionError(f"the range of {name} must rise, not '{text}'. Write it as LOW..HIGH")
        return Knob(name, default, low, high, log=low > 0 and high >= _LOG * low, whole=numeric is int)
    convert: type = bool if bool in kinds else numeric or str
    choices = tuple(dict.fromkeys(_value(field, word, convert) for word in text.split(",")))
    if len(choices) < 2:
        raise OptionError(f"one value of {name} is nothing to search: give LOW..HIGH, or several with commas")
    return Knob(name, default, choices=choices)


def _value(field: Any, text: str, kind: type) -> Any:
    """A word of a range as the option takes it. OptionError if it does not."""
    word = text.strip()
    if kind is bool:
        if word not in ("true", "false"):
            raise OptionError(f"{field.name} is true or false, not '{word}'")
        return word == "true"
    try:
        value = kind(word)
    except ValueError:
        raise OptionError(
            f"'{word}' is no value of {field.name}. Write a range as LOW..HIGH, or values with commas between"
        ) from None
    if field.name == "cell":
        return cells.find(value).name
    if field.metadata["check"] is not None:
        field.metadata["check"](field.name, value)
    return value


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
