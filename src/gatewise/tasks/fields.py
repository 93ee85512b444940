"""One option of a task: its default, help, panel and check, said once, as a field of a dataclass.

From it follow the constructor that scikit-learn expects, its documentation, the command line's option and the check.
Modules of options do not postpone their annotations (`from __future__`): the command line reads the types.
"""

import inspect
import textwrap
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self, TypeVar, dataclass_transform

from .. import checks
from ..algebra import Cell
from ..errors import OptionError, suggest

Check = Callable[[str, Any], None]  # of an option's name and value; raises OptionError
T = TypeVar("T")

DATA, TRAINING = "Data", "Training"
SIZES = "Sizes (chosen from the amount of data, if not given)"
PANELS = (DATA, SIZES, TRAINING)  # of the help, in the order in which they are shown

MOST = 2**31 - 1  # of any size

# Old name of an option, or of a key of a model's document -> the name that it has now.
RENAMED = {
    "context": "context_length",
    "copying": "copy_mechanism",
    "future": "future_covariates",
    "letters_size": "char_hidden_size",
    "levels": "quantiles",
    "maps": "image_hidden_size",
    "memory": "history",
    "past": "past_covariates",
    "season": "season_length",
    "spread": "learn_variance",
    "stack": "frame_stacking",
    "static": "static_covariates",
    "trust": "blend_weight",
    "usual": "constant",
    "variation": "augmentation",
}


def option(
    *, default: Any, help: str, panel: str = TRAINING, check: Check | None = None, off: str = "", also: str = ""
) -> Any:
    """A field of a dataclass of options.

    Args:
        help: A sentence or two.
        panel: Part of the help that shows it.
        check: What a value must be. None passes where it is the default, and where `off` is given.
        off: What None means, and 0 on the command line: "never", "no limit".
        also: A shorter name that the command line knows it by too.
    """
    return field(default=default, metadata={"help": help, "panel": panel, "check": check, "off": off, "also": also})


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(option,))
def options(cls: type[T]) -> type[T]:
    """Make a class of `option`s a dataclass whose constructor takes them by name."""
    return dataclass(kw_only=True, eq=False, repr=False)(cls)


@options
class Options:
    """The base of every dataclass of options."""

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Refuse an option by the name that it once had."""
        known = {f.name for f in fields(cls)}
        for name in given:
            refuse_old_name(name, known)
        return super().__new__(cls)

    def check(self) -> None:
        """Refuse what no data could make possible. OptionError names the option, its value and what is possible."""
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None and (f.default is None or f.metadata["off"]):
                continue
            if f.metadata["check"] is not None:
                f.metadata["check"](f.name, value)

    @classmethod
    def check_values(cls, given: Mapping[str, Any]) -> None:
        """The same for some options by name, none of which may be None, as model files have them."""
        for f in fields(cls):
            if f.name in given and f.metadata["check"] is not None:
                f.metadata["check"](f.name, given[f.name])


def new_name(name: str, known: Collection[str]) -> str | None:
    """What an option is called now, if it is not among those known but once was; else None."""
    now = RENAMED.get(name)
    return now if name not in known and now in known else None


# A blend of two texts is none.
NO_SHARE = (
    "share blends the numbers that a network and a plain method predict, and this task writes texts. "
    "Leave it out; --only plain keeps the plain method alone"
)


def refuse_old_name(name: str, known: Collection[str]) -> None:
    """OptionError if an unknown option was renamed, or is one of other tasks."""
    if name == "share" and name not in known:
        raise OptionError(NO_SHARE)
    if now := new_name(name, known):
        raise OptionError(f"`{name}` is called `{now}` now")


def renamed(given: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Options or sizes of an older model file under the names that they have now."""
    return {new_name(name, known) or name: value for name, value in given.items()}


def in_order(cls: type[Any]) -> list[Field[Any]]:
    """Options as help shows them: by panel, and in each a task's own before those that it shares."""
    own = next(base for base in cls.__mro__ if "__dataclass_fields__" in vars(base)).__annotations__
    return sorted(fields(cls), key=lambda f: (PANELS.index(f.metadata["panel"]), f.name not in own))


def document_of(cls: type[Any]) -> str:
    """The docstring of an estimator, with what its options say of themselves put before its attributes."""
    entries = [
        textwrap.fill(f"{f.name}: {f.metadata['help']}", 116, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for f in in_order(cls)
    ]
    text = inspect.cleandoc(cls.__doc__ or "")
    head, attributes, rest = text.partition("Attributes (after fit):")
    return "\n".join([f"{head}Args:", *entries, "", f"{attributes}{rest}"])


# Checks.


def whole(least: int, most: int = MOST) -> Check:
    """A whole number in a range."""

    def check(name: str, value: Any) -> None:
        checks.whole(name, value, least, most)

    return check


def real(wanted: str, fits: Callable[[float], bool]) -> Check:
    """A finite number that fits, in words and as a test."""

    def check(name: str, value: Any) -> None:
        checks.number(name, value, wanted, fits)

    return check


def one_of(kind: str, known: Collection[str]) -> Check:
    """One of several names; `kind` says what they are called."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, str) or value not in known:
            raise OptionError(suggest(kind, str(value), known))

    return check


def flag(name: str, value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be true or false, not {value!r:.60}")


def a_cell(name: str, value: Any) -> None:
    """A cell, or a name: whether there is such a cell is found out when it is looked up."""
    if not isinstance(value, str | Cell):
        raise OptionError(f"{name} must be a Cell or the name of one, not {value!r:.60}")


def a_name(name: str, value: Any) -> None:
    """The name of a file."""
    if not isinstance(value, str) or not value:
        raise OptionError(f"{name} must be the name of a file, not {value!r:.60}")


def a_rate(name: str, value: Any) -> None:
    """A learning rate, or "auto"."""
    if value != "auto":
        wanted = "above 0, up to 10" + (', or "auto"' if isinstance(value, str) else "")
        checks.number(name, value, wanted, lambda v: 0 < v <= 10)


def shares(name: str, value: Any) -> None:
    """Three shares of the data."""
    from ..data.split import split  # numpy is not paid for by who only asks for help

    try:
        split(1, value)
    except OptionError as error:
        raise OptionError(str(error).replace("fractions", name, 1)) from None


PROBABILITY = real("from 0 to below 1", lambda v: 0 <= v < 1)
SHARE = real("from 0 to 1", lambda v: 0 <= v <= 1)
POSITIVE = real("above 0", lambda v: v > 0)
NOT_NEGATIVE = real("0 or more", lambda v: v >= 0)
SIZE = whole(1)
