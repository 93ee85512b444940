"""`gatewise info`: describes a model file, from its document alone, or how data is understood."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import GatewiseError, ModelFileError, OptionError
from ..tasks.fields import DATA
from ..tasks.options import CSVOptions, names
from ..tasks.verdict import MEASURES, judgement_of, sentence
from .csv_options import csv_options, with_csv
from .frame import Json, Query, printable, result, width

if TYPE_CHECKING:
    from ..bundle import Header

_INDENT = 16  # width of the labels
_LONGEST = 190  # characters of a property: three lines on a terminal of 80 columns
_MOST = 8  # entries of a list or mapping that are shown
_SPLITS = ("train", "validation", "test", "baselines")  # the order in which metrics are read


def info(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL|DATA", help="Model file, or any data to train on; - for standard input.", show_default=False
        ),
    ],
    query: Query = None,
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    layers: Annotated[bool, typer.Option("--layers", help="Of a model: its layers, with shapes and weights.")] = False,
    columns: Annotated[
        str | None, typer.Option(help="Comma-separated columns to show; all, if omitted.", rich_help_panel=DATA)
    ] = None,
    label_from: Annotated[
        str | None,
        typer.Option(help="Where labels stand in names of files of sound or strokes.", rich_help_panel=DATA),
    ] = None,
    json: Json = False,
    **search: Any,
) -> None:
    """Describe a model, a file of another library, or show how data is understood before training.

    For a model: its task, cell and sizes, the options that were given, and the data, seed and versions it was trained
    with; `--json` shows all. Only the header of the file is read. For a file of PyTorch, Keras or ONNX: its layers, the
    model that was exported into it, and how to import it. For data: its columns and their kinds, which ones
    look like time, key and target, gaps, lengths and labels.
    """
    from ..bundle import read_header

    csv = csv_options(search)
    try:
        header = read_header(source[0])
        if source[1:]:
            raise OptionError(f"'{source[0]}' is a model. Name one model, or only data")
    except ModelFileError:
        if not source[1:] and _of_another_library(source[0], layers, json):
            return
        from ..data.sources import Roles, is_data
        from ..data.summary import summarise

        if source != ["-"] and not all(map(is_data, source)):
            raise
        roles = Roles(columns=names(columns) or None, label_from=label_from, csv=CSVOptions(**csv).csv_format())
        found = summarise(source, query, encoding, roles)
        result("" if json else found.describe(), found.document(), json)
    else:
        if layers:
            weights = header.tensors.keys() - header.beside - header.scales
            _layers({name: list(shape) for name, (_, shape) in header.tensors.items() if name in weights}, json)
            return
        result("" if json else describe(header, width()), header.document, json)


info = with_csv(info)


def _layers(tensors: dict[str, list[int]], json: bool) -> None:
    from ..tasks.summary import layers_table

    result("" if json else layers_table({printable(n): tuple(s) for n, s in tensors.items()}), tensors, json)


def _of_another_library(path: str, layers: bool, json: bool) -> bool:
    """Describe such a file, if it is one: the model that was exported into it, its layers, and how to import it."""
    from ..bundle import Header
    from ..interop.about import about, layers_in_words

    if (found := about(path)) is None:
        return False
    if layers:
        if found.chain is None:
            raise OptionError(found.refused)
        _layers({name: list(array.shape) for name, array in found.chain.tensors().items()}, json)
        return True
    document = {
        "format": found.format,
        "document": found.document,
        "proof": found.proof or None,
        "layers": None if found.chain is None else [layer.kind for layer in found.chain.kinds],
        "refused": found.refused or None,
        "import": found.command or None,
        "choices": list(found.choices),
    }
    written = "" if found.document is None else ", which `gatewise export` wrote"
    lines = [
        ("file", f"{found.format}{written}"),
        ("layers", "" if found.chain is None else layers_in_words(found.chain)),
        ("proof", found.proof),
        ("import", found.command or f"refused: {found.refused}"),
        *(("", choice) for choice in found.choices),
    ]
    text = _text([(label, value) for label, value in lines if value], width(), longest=None)
    if found.document is not None:
        own = _properties(Header(dict(found.document), {}))
        model = [(label, value) for label, value in own if label not in ("parameters", "file")]  # of a model file
        text += f"\n\nthe model\n{_text(model, width())}"
    result("" if json else text, document, json)
    return True


def describe(header: Header, columns: int | None) -> str:
    """A line or a few per property, wrapped to `columns` (None: not wrapped). Works for any document, also unknown
    ones."""
    return _text(_properties(header), columns)


def _text(properties: Iterable[tuple[str, str]], columns: int | None, longest: int | None = _LONGEST) -> str:
    """Labels and what belongs to each, of so many characters at most."""
    lines = []
    for label, text in properties:
        text = printable(text)
        text = text if longest is None or len(text) <= longest else f"{text[: longest - 4]} ..."
        text = f"{printable(label):<{_INDENT - 1}} {text}".rstrip()
        if columns is not None and columns > 2 * _INDENT:  # a digest stays in one piece, so that it can be copied
            indent = " " * _INDENT
            text = textwrap.fill(
                text, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
        lines.append(text)
    return "\n".join(lines)


def _properties(header: Header) -> Iterator[tuple[str, str]]:
    """(label, text) of each property; the known ones come first, in order of interest."""
    rest = {key: v for key, v in header.document.items() if v is not None and key not in ("format", "sha256")}
    training, task = rest.pop("training", None), rest.get("task")
    others = header.beside
    network, beside = (
        replace(header, tensors={name: kind for name, kind in header.tensors.items() if (name in others) is which})
        for which in (False, True)
    )
    count = len(network.tensors.keys() - header.scales)
    options = rest.get("options")
    only_plain = isinstance(options, Mapping) and options.get("only") == "plain"
    for key in ("task", "cell", "sizes"):
        if key in rest:
            yield key, _brief(_headline(key, rest.pop(key), task))
    yield "parameters", f"{network.values:,} in {count} tensor{'s' * (count != 1)}, {_bytes(network.bytes)}"
    if "compressed" in rest:
        yield "weights", _weights(rest.pop("compressed"))
    if others:
        yield "other data", f"{beside.values:,} values of plain methods and of the data, {_bytes(beside.bytes)}"
    for key in ("vocabulary", "options", *rest):
        if key in rest and (text := _brief(_headline(key, rest.pop(key), task))):
            yield _words(key), text
    if isinstance(training, Mapping):
        yield from _training(dict(training), only_plain)
    elif training is not None:
        yield "training", _brief(training)
    yield "file", f"format {_brief(header.document.get('format'))}, sha256 {_brief(header.document.get('sha256'))}"


def _weights(compressed: Any) -> str:
    """What they are held in, and what that cost."""
    match compressed:
        case {"weights": str(kind), "cost": {"measure": str(measure), "before": before, "after": after, **where}}:
            name, _ = MEASURES.get(measure, (_words(measure), True))
            place = f"{_brief(where.get('part'))} part of {_brief(where.get('data'))}"
            return f"{kind}; {name} {_brief(before)} before, {_brief(after)} after ({place})"
        case {"weights": str(kind)}:
            return f"{kind}; what that cost was not measured"
    return _brief(compressed)


def _training(rest: dict[str, Any], only_plain: bool) -> Iterator[tuple[str, str]]:
    metrics = rest.pop("metrics", None)
    rest.pop("history", None)  # a value for each validation; `--json` has them
    if "data" in rest:
        data = rest.pop("data")
        known = {k: v for k, v in data.items() if k != "fingerprint"} if isinstance(data, Mapping) else data
        if known:  # of a model of another library nothing is
            yield "trained on", _brief(known)
    if isinstance(rest.get("imported"), Mapping):
        yield from _imported(rest.pop("imported"))
    took = [_duration(rest.pop("seconds"))] if "seconds" in rest else []
    for key, words in (("steps", "{} steps"), ("best_step", "best step {}"), ("ended", "{}")):
        if key in rest:
            took.append(words.format(_brief(rest.pop(key))))
    match rest.get("minutes"):
        case {"asked": asked, "used": used}:
            took.append(f"{_brief(used)} of {_brief(asked)} minutes for all of fit")
            rest.pop("minutes")
    if took:
        yield "took", " · ".join(took)
    # A seed is an identifier, so it gets no thousands separators.
    run = [f"{key} {rest.pop(key)}" for key in ("seed", "threads", "started") if key in rest]
    if run:
        yield "run", " · ".join(run)
    for key in ("versions", *rest):
        if key in rest:
            yield _words(key), _brief(rest.pop(key))
    if not isinstance(metrics, Mapping):
        metrics = {} if metrics is None else {"metrics": metrics}
    if (judgement := judgement_of(metrics)) and (line := _verdict(judgement, only_plain)):
        yield "verdict", line
        metrics = {name: found for name, found in metrics.items() if name not in judgement}
    for split in (*_SPLITS, *(key for key in metrics if key not in _SPLITS)):
        found = metrics.get(split)
        if split == "baselines" and isinstance(found, Mapping):
            for name, value in found.items():
                yield f"vs {_words(name)}", _scores(value)
        elif split in metrics:
            yield _words(split), _scores(found)


def _imported(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a model of another library comes from, and whether it was proved."""
    where = {key: found[key] for key in ("file", "format", "version", "name") if key in found}
    yield "imported from", " · ".join(map(_brief, where.values()))
    match found.get("proof"):
        case {"peer": peer, "difference": None}:
            reason = found["proof"].get("reason")
            yield "proof", f"none: {_brief(reason) if reason else f'{_brief(peer)} was not installed'}"
        case {"peer": peer, "difference": difference}:
            yield "proof", f"beside {_brief(peer)}: largest difference {_brief(difference)}"
    if isinstance(notes := found.get("notes"), list) and notes:
        yield "notes", "; ".join(map(_brief, notes))


def _verdict(judgement: Mapping[str, Any], only_plain: bool) -> str:
    """Whether the network earned its place; "" for what a stranger wrote there."""
    with suppress(ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return sentence(judgement, only_plain=only_plain)
    return ""


def _scores(found: Any) -> str:
    """Figures, without those that are themselves several, such as one for each label."""
    if isinstance(found, Mapping):
        found = {key: value for key, value in found.items() if not isinstance(value, Mapping | list)} or found
    return _brief(found)


def _headline(key: str, value: Any, task: Any) -> Any:
    """Shorten what has many parts to what people ask for; `--json` shows the rest."""
    if key == "layers" and isinstance(value, list) and all(isinstance(layer, Mapping) for layer in value):
        from ..runtime.sequential import described, layer_of

        with suppress(GatewiseError):
            return described([layer_of(layer, "layers") for layer in value])
    if key == "members" and isinstance(value, list):
        return _members(value)
    if not isinstance(value, Mapping):
        return value
    if key in ("frequency", "schema"):
        from ..data.tables.frequency import Frequency
        from ..data.tables.schema import Schema
        from ..document import read

        with suppress(ModelFileError):  # of a version to come, or of a stranger
            return str(read(Frequency, value)) if key == "frequency" else read(Schema, value).described()
    if key in ("cell", "cell_without_zoneout") and "name" in value:
        return {"": value["name"]} | {k: value[k] for k in ("source",) if k in value}
    if key == "vocabulary" and "kind" in value:
        sizes = [len(item) for name, item in value.items() if name != "kind" and isinstance(item, list | str)]
        size = value.get("size", max(sizes, default=None))
        return {"": value["kind"]} | ({} if size is None else {"size": size})
    if key == "options":  # those of the user; what followed from the data appears among the sizes
        usual = _defaults(task)
        return {name: option for name, option in value.items() if option is not None and option != usual.get(name)}
    return value


def _members(listed: list[Any]) -> str:
    """75% hidden size 64, 25% hidden size 32: each with the options in which it differs from another. Those that were
    not given are among the sizes."""
    own = [member if isinstance(member, Mapping) else {} for member in listed]
    options = []
    for member in own:
        given, sizes = (found if isinstance(found := member.get(key), Mapping) else {} for key in ("options", "sizes"))
        options.append({name: sizes.get(name) if value is None else value for name, value in given.items()})
    first = options[0] if options else {}
    differing = [name for name in first if any(one.get(name) != first[name] for one in options)]
    said = [" ".join(f"{_words(name)} {_brief(one.get(name))}" for name in differing) for one in options]
    return ", ".join(
        f"{share:.0%} {text}".strip() if isinstance(share := member.get("share"), float) else text
        for member, text in zip(own, said, strict=True)
    )


def _defaults(task: Any) -> dict[str, Any]:
    """The options of a task as the document of a model has them, if nothing is given."""
    from ..tasks import KNOWN, find

    return find(task)().plain_options() if isinstance(task, str) and task in KNOWN else {}


def _brief(value: Any) -> str:
    """Any JSON value on one line, with long lists, mappings and texts abbreviated."""
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
            flat = len(value) <= _MOST and not any(isinstance(item, list | Mapping) for item in value)
            return ", ".join(map(_brief, value)) if flat else f"[{len(value)} items]"
        case Mapping():
            return " · ".join(f"{_words(key)} {_nested(item)}".strip() for key, item in value.items())
    return str(value)


def _nested(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _brief(value)
    if len(value) > _MOST:
        return f"[{len(value)} entries]"
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
