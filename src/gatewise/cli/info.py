"""`gatewise info`: describes a model file, from its document alone, or how data is understood."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ModelFileError
from .frame import Json, Query, printable, result, width

if TYPE_CHECKING:
    from ..bundle import Header

_INDENT = 16  # width of the labels
_SPLITS = ("train", "validation", "test", "baselines")  # the order in which metrics are read


def info(
    source: Annotated[
        str, typer.Argument(metavar="MODEL|DATA", help="Model file, or any data to train on.", show_default=False)
    ],
    query: Query = None,
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    json: Json = False,
) -> None:
    """Describe a model, or show how data is understood before training.

    For a model: its task, cell and sizes, and the data, seed and versions it was trained with. Only the header of the
    file is read. For data: its columns and their kinds, which ones look like time, key and target, gaps, lengths and
    labels.
    """
    from ..bundle import read_header

    try:
        header = read_header(source)
    except ModelFileError:
        from ..data.sources import is_data

        if not is_data(source):
            raise
        from ..data.summary import summarise

        found = summarise(source, query, encoding)
        result("" if json else found.describe(), found.document(), json)
    else:
        result("" if json else describe(header, width()), header.document, json)


def describe(header: Header, columns: int | None) -> str:
    """One line per property, wrapped to `columns` (None: not wrapped). Works for any document, also unknown ones."""
    lines = []
    for label, text in _properties(header):
        text = printable(text)
        if columns is not None and columns > 2 * _INDENT:
            lined = textwrap.wrap(text, columns - _INDENT, break_long_words=False, break_on_hyphens=False)
            text = ("\n" + " " * _INDENT).join(lined)  # a digest stays in one piece, so that it can be copied
        lines.append(f"{printable(label):<{_INDENT - 1}} {text}".rstrip())
    return "\n".join(lines)


def _properties(header: Header) -> Iterator[tuple[str, str]]:
    """(label, text) of each property; the known ones come first, in order of interest."""
    rest = {key: v for key, v in header.document.items() if v is not None and key not in ("format", "sha256")}
    training = rest.pop("training", None)
    count = len(header.tensors)
    for key in ("task", "cell", "sizes"):
        if key in rest:
            yield key, _brief(_headline(key, rest.pop(key)))
    yield "parameters", f"{header.values:,} in {count} tensor{'s' * (count != 1)}, {_bytes(header.bytes)}"
    for key in ("vocabulary", "options", *rest):
        if key in rest:
            yield _words(key), _brief(_headline(key, rest.pop(key)))
    if isinstance(training, Mapping):
        yield from _training(dict(training))
    elif training is not None:
        yield "training", _brief(training)
    yield "file", f"format {_brief(header.document.get('format'))}, sha256 {_brief(header.document.get('sha256'))}"


def _training(rest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    metrics = rest.pop("metrics", None)
    if "data" in rest:
        yield "trained on", _brief(rest.pop("data"))
    if "seconds" in rest:
        yield "took", _duration(rest.pop("seconds"))
    for key in ("steps", "best_step", "seed", "versions", *rest):
        if key in rest:
            # A seed is an identifier, so it gets no thousands separators.
            yield _words(key), str(rest.pop(key)) if key == "seed" else _brief(rest.pop(key))
    if not isinstance(metrics, Mapping):
        metrics = {} if metrics is None else {"metrics": metrics}
    for split in (*_SPLITS, *(key for key in metrics if key not in _SPLITS)):
        found = metrics.get(split)
        if split == "baselines" and isinstance(found, Mapping):
            for name, value in found.items():
                yield f"vs {_words(name)}", _brief(value)
        elif split in metrics:
            yield _words(split), _brief(found)


def _headline(key: str, value: Any) -> Any:
    """Shorten a cell to its name and a vocabulary to its size; `--json` shows their programs and tokens."""
    if not isinstance(value, Mapping):
        return value
    if key == "frequency":
        from ..data.tables.frequency import Frequency

        with suppress(TypeError, ValueError):  # of a version to come, or of a stranger
            return str(Frequency(**value))
    if key == "cell" and "name" in value:
        return {"": value["name"]} | {k: value[k] for k in ("source",) if k in value}
    if key == "vocabulary" and "kind" in value:
        sizes = [len(item) for name, item in value.items() if name != "kind" and isinstance(item, list | str)]
        size = value.get("size", max(sizes, default=None))
        return {"": value["kind"]} | ({} if size is None else {"size": size})
    if key == "options":  # those that were not set appear among the sizes
        return {name: option for name, option in value.items() if option is not None}
    return value


def _brief(value: Any) -> str:
    """Any JSON value on one line, with long lists and texts abbreviated."""
    match value:
        case bool() | None:
            return {True: "yes", False: "no", None: "none"}[value]
        case int():
            return f"{value:,}" if abs(value) >= 10_000 else str(value)
        case float():
            return f"{value:.4g}"
        case str():
            return value if len(value) <= 100 else f"{value[:97]}..."
        case list():
            flat = len(value) <= 8 and not any(isinstance(item, list | Mapping) for item in value)
            return ", ".join(map(_brief, value)) if flat else f"[{len(value)} items]"
        case Mapping():
            return " · ".join(f"{_words(key)} {_nested(item)}".strip() for key, item in value.items())
    return str(value)


def _nested(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _brief(value)
    return (
        "("
        + ", ".join(f"{_words(key)} {'{...}' if isinstance(v, Mapping) else _brief(v)}" for key, v in value.items())
        + ")"
    )


def _words(key: str) -> str:
    return key.replace("_", " ")


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"


def _duration(seconds: Any) -> str:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        return _brief(seconds)
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{seconds:.3g} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
