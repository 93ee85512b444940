"""A model as one page that runs it in a browser, without a request to anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import OptionError
from ..pages import assembled, parts
from ..runtime.recording import Layer, Pass, Recording, StepModel
from .printer import LayerPrinter, network_lines
from .weights import ROWS, blocked, held, quantised

Array = np.ndarray

KINDS = ("float16", "int8")
PAGE, SCRIPT = "page.html", "proof.js"
SCRIPTS = {  # kind of a page -> what its engine and its interface are made of
    "text": (("tokens.js",), ("text.js",)),
    "pen": (("mixture.js",), ("pen.js",)),
    "series": (("mixture.js",), ("chart.js", "series.js")),
    "watch": ((), ("chart.js", "watch.js")),
    "labels": (("chain.js", "whole.js"), ("chart.js", "labels.js")),
    "classes": (("whole.js",), ("chart.js", "bars.js", "classes.js")),
    "sentence": (("hashes.js", "spaces.js", "sentences.js", "chain.js", "tagger.js"), ("sentence.js",)),
    "typed": (("hashes.js", "spaces.js", "words.js", "classtext.js"), ("bars.js", "typed.js")),
    "forecast": ((), ("chart.js", "forecast.js")),
    "pieces": (("spaces.js", "pieces.js"), ("bars.js", "typed.js")),
}
_BODIES = {"pieces": "typed"}  # kind of a page -> another one whose body it has


def sources(model: StepModel, kind: str) -> dict[str, str]:
    """The text of the page, and of the script that tests it.

    Args:
        model: What is printed.
        kind: Of its weights, see `KINDS`.

    Raises:
        OptionError: There is no page for such a model.
    """
    asked = model.page.get("kind", "")
    if asked not in SCRIPTS or model.page.get("refused"):
        why = model.page.get("refused") or "there is no page for such models"
        raise OptionError(f"this model cannot be said in html: {why}. Export it to c or onnx instead")
    engine, interface = SCRIPTS[asked]
    page = assembled(
        parts(__package__, "top.html", f"{_BODIES.get(asked, asked)}.html", "end.html"),
        style=parts(__package__, "style.css"),
        script=parts(__package__, "common.js", *interface),
        libraries={"engine": _engine(model, kind) + "\n" + parts(__package__, *engine)},
        policy={"script-src": "'wasm-unsafe-eval'"},
    )
    return {PAGE: page, SCRIPT: parts(__package__, "proof.js"), "proof.json": _examples(model)}


class _JavaScript:
    """See `printer.Language`."""

    state, variable, fixed = "s.", "let", "const"

    def __init__(self, kind: str):
        self._kind = kind
        self._named: dict[int, tuple[str, Array]] = {}  # by identity; the array is kept, so that no other gets its id
        self._size = 0
        self._blobs: list[bytes] = []
        self._used: set[str] = set()
        self.floats, self.widest = 0, ROWS  # numbers of all matrices, and of the longest side of one
        self.tables: list[str] = []

    @property
    def weights(self) -> str:
        """All of them, in base64."""
        return base64.b64encode(b"".join(self._blobs)).decode()

    def loop(self, index: str, count: int) -> str:
        return f"for (let {index} = 0; {index} < {count}; {index}++)"

    def runs(self, own: Pass) -> str:
        if own.way == "once":
            return "{"
        count = _runs(own)
        return (
            f"for (let t = {count} - 1; t >= 0; t--) {{"
            if own.way == "backward"
            else f"for (let t = 0; t < {count}; t++) {{"
        )

    def step_of(self, name: str, source: str, size: int, place: str, kind: str) -> str:
        if kind == "token":
            return f"const {name} = {source}[{place}];"
        return f"const {name} = {source}.subarray(({place}) * {size}, ({place} + 1) * {size});"

    def last(self, own: Pass) -> str:
        return "0" if own.way == "backward" else f"{_runs(own)} - 1"

    def clipped(self, name: str, place: str) -> str:
        return f"const {name} = Math.min(Math.max({place}, 0), steps - 1);"

    def array(self, name: str, size: int) -> str:
        return f"const {name} = new Float32Array({size});"

    def number(self, value: float) -> str:
        return repr(float(value))

    def over(self, index: str, divisor: int) -> str:
        return f"Math.floor({index} / {divisor})"

    def matrix(self, matrix: Array) -> str:
        name = self._name(matrix)
        if name not in self._used:
            self._used.add(name)
            rows, columns = matrix.shape
            filled = -(-rows // ROWS) * ROWS
            self.floats, self.widest = self.floats + filled * columns, max(self.widest, filled, columns)
            if not held(matrix, self._kind):
                place = [*self._stored("float32", blocked(matrix)), rows, columns]
                self.tables.append(f"const {name} = gw_matrix({_json(place)});")
            elif self._kind == "int8":
                whole, scale = quantised(matrix)
                place = [*self._stored("int8", blocked(whole)), rows, columns]
                self.tables.append(
                    f"const {name} = gw_matrix({_json(place)}, {_json(self._stored('float32', scale))});"
                )
            else:
                place = [*self._stored("float16", blocked(matrix)), rows, columns]
                self.tables.append(f"const {name} = gw_matrix({_json(place)});")
        return name

    def vector(self, values: Array) -> str:
        name = self._name(values)
        if name not in self._used:
            self._used.add(name)
            self.tables.append(f"const {name} = gw_vector({_json(self._stored('float32', values))});")
        return name

    def table(self, values: Array) -> str:
        """Numbers that a page looks up itself, row by row."""
        if values.dtype.kind == "i":
            return f"gw_vector({_json(self._stored('int32', values))})"
        if values.ndim == 1 or not held(values, self._kind):
            return f"gw_vector({_json(self._stored('float32', values))})"
        if self._kind == "int8":
            whole, scale = quantised(values)
            places = self._stored("int8", whole), self._stored("float32", scale)
            return f"gw_scaled({_json(places[0])}, {_json(places[1])})"
        return f"gw_vector({_json(self._stored('float16', values))})"

    def add(self, y: str, matrix: str, x: str) -> str:
        return f"gw_add({y}, {matrix}, {x});"

    def row(self, y: str, matrix: str, token: str) -> str:
        return f"gw_row({y}, {matrix}, {token});"

    def at(self, table: str, place: str, count: int) -> str:
        return f"{table}[Math.min(Math.floor({place}), {count - 1})]"

    def integers(self, values: Array) -> str:
        name = self._name(values)
        if name not in self._used:
            self._used.add(name)
            self.tables.append(f"const {name} = gw_vector({_json(self._stored('int32', values))});")
        return name

    def helper(self, name: str, *arguments: object) -> str:
        return f"{name}({', '.join(map(str, arguments))});"

    def call(self, layer: Layer, x: str) -> str:
        return f"gw_{layer.name}(s, {x});"

    def _stored(self, kind: str, values: Array) -> list[Any]:
        """Where an array is among the weights."""
        data = np.ascontiguousarray(values.reshape(-1), np.dtype(kind).newbyteorder("<")).tobytes()
        place = [kind, self._size, values.size]
        self._blobs.append(data)
        self._size += len(data)
        return place

    def _name(self, values: Array) -> str:
        return self._named.setdefault(id(values), (f"gw_w{len(self._named)}", values))[0]


def _runs(own: Pass) -> str:
    """How often a pass runs."""
    return "steps" if own.stride == 1 else f"Math.ceil(steps / {own.stride})"


def _engine(model: StepModel, kind: str) -> str:
    language = _JavaScript(kind)
    functions = list(_functions(model.recording, language, ""))
    if model.spelling is not None:
        functions += _functions(model.spelling, language, "_letters")
    tables = [f"{_json(name)}: {language.table(values)}" for name, values in model.tables.items()]
    if tables:
        language.tables.append(f"const gw_tables = {{ {', '.join(tables)} }};")
    known = {
        "title": model.title,
        "digest": model.digest,
        "page": model.page,
        "floats": language.floats,
        "widest": language.widest,
        "weights": language.weights,
    }
    return "\n".join(
        [
            f"const gw_model = {_json(known)};",
            parts(__package__, "kernel.js", "engine.js"),
            *language.tables,
            *functions,
        ]
    )


def _functions(recording: Recording, language: _JavaScript, suffix: str) -> Iterator[str]:
    """A function for each layer, and gw_step with gw_state, or gw_read."""
    for layer in recording.layers:
        yield _function(f"gw_{layer.name}", "s, x", LayerPrinter(layer, language).lines())
    inputs = [vector.name for vector in (*(token for token, _ in recording.tokens), *recording.numbers)]
    lines = network_lines(recording, language)
    result = f"return {{ {', '.join(recording.outputs)} }};"
    states = [f"{state.name}: new Float32Array({state.size})" for state in recording.states]
    if not recording.whole:
        outputs = [language.array(name, vector.size) for name, vector in recording.outputs.items()]
        yield _function(f"gw_step{suffix}", ", ".join(["s", *inputs]), iter([*outputs, *lines, result]))
        yield f"function gw_state{suffix}() {{ return {{ {', '.join(states)} }}; }}"
        return
    homes = recording.homes
    states += [f"{v.name}: new Float32Array({_runs(homes[v])} * {v.size})" for v in recording.tracks]
    made = [
        f"let {name} = new Float32Array({vector.size if own.way == 'once' else f'{_runs(own)} * {vector.size}'});"
        for name, vector in recording.outputs.items()
        for own in [homes[vector]]
    ]
    remembered = f"let s = {{ {', '.join(states)} }};"
    arguments = ", ".join(["steps", *inputs])
    yield _function(f"gw_read{suffix}", arguments, iter([*made, remembered, *lines, result]))


def _function(name: str, arguments: str, lines: Iterator[str]) -> str:
    """With its arrays beside it, so that no call makes new ones."""
    found = list(lines)
    arrays = [line for line in found if line.startswith("const ")]
    rest = [f"    {line}" for line in found if not line.startswith("const ")]
    return "\n".join(
        [
            f"const {name} = (() => {{",
            *(f"  {line}" for line in arrays),
            f"  return ({arguments}) => {{",
            *rest,
            "  };",
            "})();",
        ]
    )


def _examples(model: StepModel) -> str:
    recording, examples = model.recording, model.examples
    names = [(vector.name, True) for vector, _ in recording.tokens]
    names += [(vector.name, False) for vector in recording.numbers]
    steps: list[Any] = []
    for t in range(0 if recording.whole or model.answers else len(examples)):
        inputs = [examples.inputs[name][t].tolist() for name, _ in names]
        inputs = [values[0] if whole else values for values, (_, whole) in zip(inputs, names, strict=True)]
        steps.append([inputs, {name: examples.outputs[name][t].tolist() for name in recording.outputs}])
    proof: dict[str, Any] = {"count": len(examples), "steps": steps, "tolerance": model.tolerance}
    if model.answers:
        proof["answers"] = model.answers
    elif recording.whole:
        proof["sequences"] = list(_sequences(model, names))
    if model.text:
        proof["text"] = [model.page["vocabulary"], *model.text]
    return json.dumps(proof).replace("NaN", "null")


def _sequences(model: StepModel, names: Sequence[tuple[str, bool]]) -> Iterator[list[Any]]:
    """Each with its length, inputs, outputs, and labels."""
    recording, examples = model.recording, model.examples
    ones = {vector.name for vector in recording.single}
    once = {name for name, vector in recording.outputs.items() if recording.is_once(vector)}
    start = 0
    for n, length in enumerate(examples.lengths):
        steps, own = slice(start, start := start + length), slice(n, n + 1)
        flat = [(examples.inputs[name][own if name in ones else steps].reshape(-1).tolist(), name) for name, _ in names]
        given = [v[0] if whole and name in ones else v for (v, name), (_, whole) in zip(flat, names, strict=True)]
        wanted = {name: examples.outputs[name][own if name in once else steps] for name in recording.outputs}
        labels = None if model.labels is None else model.labels[steps].tolist()
        yield [length, given, {name: values.reshape(-1).tolist() for name, values in wanted.items()}, labels]


def _json(value: Any) -> str:
    """For the inside of a script, whatever a stranger's model file says."""
    return json.dumps(value).replace("<", "\\u003c")
