"""A model in C99: one header, one file of code and weights, and a program that tests them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files

import numpy as np

from ..errors import OptionError
from ..runtime.recording import Layer, Pass, Recording, StepModel
from .c_test import program
from .c_text import comment, number, string, table
from .printer import LayerPrinter, network_lines
from .weights import ROWS, blocked, held, quantised

Array = np.ndarray

KINDS = ("float32", "int8")

_HELPERS = {
    "gw_add": """
/* y[rows] += m[rows][columns] x[columns]. m is in blocks of {ROWS} rows, and within one column by column. */
static void gw_add(float *y, const float *m, const float *x, int rows, int columns) {{
    int r, j, k;
    for (r = 0; r < rows; r += {ROWS}) {{
        float sum[{ROWS}] = {{0}};
        int count = rows - r < {ROWS} ? rows - r : {ROWS};
        for (j = 0; j < columns; j++, m += {ROWS})
            GW_ROLLED for (k = 0; k < {ROWS}; k++) sum[k] += m[k] * x[j];
        for (k = 0; k < count; k++) y[r + k] += sum[k];
    }}
}}
""",
    "gw_add8": """
/* y[rows] += m[rows][columns] x[columns], m being whole numbers and a scale for each row. They are in blocks of {ROWS}
   rows, and within one column by column. */
static void gw_add8(float *y, const int8_t *m, const float *scale, const float *x, int rows, int columns) {{
    int r, j, k;
    for (r = 0; r < rows; r += {ROWS}) {{
        float sum[{ROWS}] = {{0}};
        int count = rows - r < {ROWS} ? rows - r : {ROWS};
        for (j = 0; j < columns; j++, m += {ROWS})
            GW_ROLLED for (k = 0; k < {ROWS}; k++) sum[k] += (float)m[k] * x[j];
        for (k = 0; k < count; k++) y[r + k] += scale[r + k] * sum[k];
    }}
}}
""",
    "gw_row": """
/* y[columns] = row `row` of such a matrix. */
static void gw_row(float *y, const float *m, int row, int columns) {{
    int j;
    for (j = 0; j < columns; j++) y[j] = m[(row / {ROWS} * columns + j) * {ROWS} + row % {ROWS}];
}}
""",
    "gw_row8": """
/* y[columns] = row `row` of such a matrix. */
static void gw_row8(float *y, const int8_t *m, const float *scale, int row, int columns) {{
    int j;
    for (j = 0; j < columns; j++) y[j] = scale[row] * (float)m[(row / {ROWS} * columns + j) * {ROWS} + row % {ROWS}];
}}
""",
}

# Compilers make calls of memcpy and memset, which are a library's, of loops that copy or clear. And at -O3 GCC unrolls
# the loop over the sums of a block before it would make vectors of them, which is several times slower.
_NO_LIBRARY = """
#if defined(__clang__)
#define GW_PLAIN __attribute__((no_builtin("memcpy", "memset", "memmove")))
#define GW_ROLLED
#elif defined(__GNUC__)
#define GW_PLAIN
#define GW_ROLLED _Pragma("GCC unroll 1")
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#else
#define GW_PLAIN
#define GW_ROLLED
#endif
"""


def sources(model: StepModel, kind: str) -> dict[str, str]:
    """The text of each file.

    Args:
        model: What is printed.
        kind: Of its weights, see `KINDS`.

    Raises:
        OptionError: It can be said as a page alone.
    """
    if model.page_alone:
        raise OptionError(f"{model.page_alone}. Export it with --to html")
    return {"model.h": _header(model), "model.c": _code(model, kind), "model_test.c": program(model)}


class _C:
    """See `printer.Language`."""

    state, variable, fixed = "s->", "float", "const float"

    def __init__(self, kind: str):
        self._kind = kind
        self._named: dict[int, tuple[str, Array]] = {}  # by identity; the array is kept, so that no other gets its id
        self.tables: list[str] = []
        self.used: set[str] = set()

    def loop(self, index: str, count: int) -> str:
        return f"for ({index} = 0; {index} < {count}; {index}++)"

    def runs(self, own: Pass) -> str:
        if own.way == "once":
            return "{"
        count = _runs("steps", own)
        return (
            f"for (t = {count} - 1; t >= 0; t--) {{" if own.way == "backward" else f"for (t = 0; t < {count}; t++) {{"
        )

    def step_of(self, name: str, source: str, size: int, place: str, kind: str) -> str:
        if kind == "token":
            return f"const int {name} = {source}[{place}];"
        return f"{'const float' if kind == 'read' else 'float'} *{name} = {source} + ({place}) * {size};"

    def last(self, own: Pass) -> str:
        return "0" if own.way == "backward" else f"{_runs('steps', own)} - 1"

    def clipped(self, name: str, place: str) -> str:
        return f"int {name} = {place}; {name} = {name} < 0 ? 0 : {name} < steps ? {name} : steps - 1;"

    def array(self, name: str, size: int) -> str:
        return f"float {name}[{size}];"

    def number(self, value: float) -> str:
        return number(np.float32(value))

    def over(self, index: str, divisor: int) -> str:
        return f"{index} / {divisor}"

    def matrix(self, matrix: Array) -> str:
        name, small = self._name(matrix), self._kind == "int8" and held(matrix, "int8")
        if name not in self.used:
            self.used.add(name)
            if small:
                whole, scale = quantised(matrix)
                self.tables += [table("int8_t", name, blocked(whole)), table("float", f"{name}_scale", scale)]
            else:
                self.tables.append(table("float", name, blocked(matrix)))
        rows, columns = matrix.shape
        return f"8|{name}, {name}_scale|{rows}, {columns}" if small else f"|{name}|{rows}, {columns}"

    def vector(self, values: Array) -> str:
        name = self._name(values)
        if name not in self.used:
            self.used.add(name)
            self.tables.append(table("float", name, values))
        return name

    def add(self, y: str, matrix: str, x: str) -> str:
        kind, table, sizes = matrix.split("|")
        self.used.add(f"gw_add{kind}")
        return f"gw_add{kind}({y}, {table}, {x}, {sizes});"

    def row(self, y: str, matrix: str, token: str) -> str:
        kind, table, sizes = matrix.split("|")
        self.used.add(f"gw_row{kind}")
        return f"gw_row{kind}({y}, {table}, {token}, {sizes.partition(', ')[2]});"

    def at(self, table: str, place: str, count: int) -> str:
        return f"{table}[{place} < {count - 1} ? (int){place} : {count - 1}]"

    def integers(self, values: Array) -> str:
        name = self._name(values)
        if name not in self.used:
            self.used.add(name)
            self.tables.append(table("int32_t", name, values))
        return name

    def helper(self, name: str, *arguments: object) -> str:
        return f"{name}({', '.join(map(str, arguments))});"

    def call(self, layer: Layer, x: str) -> str:
        return f"gw_{layer.name}(s, {x});"

    def _name(self, values: Array) -> str:
        return self._named.setdefault(id(values), (f"gw_w{len(self._named)}", values))[0]


def _runs(steps: str, own: Pass) -> str:
    """How often a pass runs over so many steps."""
    return steps if own.stride == 1 else f"({steps} + {own.stride - 1}) / {own.stride}"


_STEPWISE = [
    "/* Before the first step of a sequence. */",
    "void gw_reset(gw_state *s);",
    "",
    "/* One step. 0; or -1 where a token is out of range, and then nothing has changed. */",
]
_LABELS = "int gw_labels(gw_state *s, int steps, const float *scores, int *labels)"
_LABELLED = [
    "",
    "/* The likeliest label of each step, by the scores that gw_read gave. s is memory to work in. 0 or -1. */",
    f"{_LABELS};",
]
_WHOLE = [
    "/* A whole sequence, its steps one behind the other. s is memory to work in. 0; or -1 where there is no step, or",
    "   more than GW_MOST_STEPS, or a token is out of range. */",
]


def _most_steps(recording: Recording) -> list[str]:
    """Room for usual sequences: models read long ones with a stride, of a 64th of what is typical."""
    stride = max(own.stride for own, _ in recording.passes)
    return [
        "#ifndef GW_MOST_STEPS /* of a sequence; gw_state grows with it */",
        f"#define GW_MOST_STEPS {max(256, 128 * stride)}",
        "#endif",
    ]


def _remembered(recording: Recording) -> Iterator[tuple[str, str]]:
    """Names and sizes of the arrays of gw_state."""
    yield from ((state.name, str(state.size)) for state in recording.states)
    homes = recording.homes
    for vector in recording.tracks:
        stride = homes[vector].stride
        count = "GW_MOST_STEPS" if stride == 1 else f"(GW_MOST_STEPS / {stride} + 1)"
        yield vector.name, f"{count} * {vector.size}"


def _header(model: StepModel) -> str:
    recording = model.recording
    states = [f"    float {name}[{size}];" for name, size in _remembered(recording)]
    defines = {f"GW_{vector.name.upper()}": vector.size for vector in recording.numbers}
    defines |= {f"GW_{vector.name.upper()}_LIMIT": limit for vector, limit in recording.tokens}
    defines |= {f"GW_{name.upper()}": vector.size for name, vector in recording.outputs.items()}
    arguments = [f"   {line}" for line in model.meaning]
    lines = [
        f"/* {comment(model.title)}",
        "",
        *map(comment, arguments),
        "",
        "   Printed by gatewise export. No memory is taken from a heap and no library is called. */",
        "#ifndef GW_MODEL_H",
        "#define GW_MODEL_H",
        "",
        f'#define GW_DIGEST "{comment(model.digest)}"',
        *(_most_steps(recording) if recording.whole else []),
        *(f"#define {name} {size}" for name, size in defines.items()),
        "",
        "typedef struct {",
        *(states or ["    float none;"]),
        *(
            [f"    int label_before[GW_MOST_STEPS * {len(model.tables['chain.start'])}];"]
            if model.labels is not None
            else []
        ),
        "} gw_state;",
        "",
        *(_WHOLE if recording.whole else _STEPWISE),
        f"{_signature(recording)};",
        *(_LABELLED if model.labels is not None else []),
        *(["", "/* What each token stands for, in UTF-8. */", _names_signature(model) + ";"] if model.tokens else []),
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _code(model: StepModel, kind: str) -> str:
    recording, language = model.recording, _C(kind)
    functions = []
    for layer in recording.layers:
        head = f"GW_PLAIN static void gw_{layer.name}(gw_state *s, const float *x) {{"
        functions.append(_function(head, LayerPrinter(layer, language).lines()))
    ranges = []
    for v, limit in recording.tokens:
        many = recording.whole and v not in recording.single
        at, loop = (f"{v.name}[t]", "for (t = 0; t < steps; t++) ") if many else (v.name, "")
        ranges.append(f"{loop}if ({at} < 0 || {at} >= {limit}) return -1;")
    if recording.whole:
        ranges = ["if (steps < 1 || steps > GW_MOST_STEPS) return -1;", *ranges, "gw_reset(s);"]
    body = _function(
        f"GW_PLAIN {_signature(recording)} {{", network_lines(recording, language), before=ranges, after=["return 0;"]
    )
    clear = [f"for (k = 0; k < {state.size}; k++) s->{state.name}[k] = 0.0f;" for state in recording.states]
    scope = "static void" if recording.whole else "void"
    reset = _function(f"GW_PLAIN {scope} gw_reset(gw_state *s) {{", iter(clear))
    helpers = [
        text.format(ROWS=ROWS).strip().replace("static void", "GW_PLAIN static void")
        for name, text in _HELPERS.items()
        if name in language.used
    ]
    labels = _labels(model)
    own = "\n".join([*functions, body, *labels])
    parts = [
        f"/* {comment(model.title)} See model.h. */",
        '#include "model.h"\n\n#include <stdint.h>',
        _NO_LIBRARY.strip(),
        *_called(own),
        *helpers,
        *language.tables,
        *functions,
        reset,
        body,
        *labels,
        *([_names(model)] if model.tokens else []),
    ]
    return "\n\n".join(parts) + "\n"


def _labels(model: StepModel) -> list[str]:
    """The function that finds the likeliest labels (Viterbi 1967), where neighbours have scores."""
    chain = {name: values for name, values in model.tables.items() if name.startswith("chain.")}
    if not chain:
        return []
    tables = [table("float", f"gw_{name.replace('.', '_')}", values) for name, values in chain.items()]
    L = len(chain["chain.start"])
    body = [
        f"float best[{L}];",
        f"float next[{L}];",
        "if (steps < 1 || steps > GW_MOST_STEPS) return -1;",
        f"gw_viterbi(scores, steps, {L}, gw_chain_start, gw_chain_transitions, gw_chain_end,",
        "           best, next, s->label_before, labels);",
        "return 0;",
    ]
    head = f"GW_PLAIN {_LABELS} {{"
    return [*tables, _function(head, iter(body))]


def _function(head: str, lines: Iterator[str], before: Sequence[str] = (), after: Sequence[str] = ()) -> str:
    """With its declarations first."""
    found = list(lines)
    if "gw_state *s" in head and not any("s->" in line or "(s," in line for line in [*found, *before]):
        before = ["(void)s;", *before]
    arrays = [line for line in found if line.startswith("float ")]
    rest = [line for line in found if not line.startswith("float ")]
    text = "\n".join([*before, *rest])
    indices = [index for index in "kjt" if f"for ({index} =" in text]
    declared = [f"int {', '.join(indices)};"] if indices else []
    return "\n".join([head, *(f"    {line}" for line in [*declared, *arrays, *before, *rest, *after]), "}"])


def _called(text: str) -> list[str]:
    """The functions by hand that are called in a text, and those that these call."""
    parts: list[str] = []
    for file in ("whole.c", "maths.c"):
        whole = files(__package__).joinpath(file).read_text("utf-8")
        about, *functions = whole.replace("\nstatic ", "\0static ").split("\0")
        named = {function.partition("gw_")[2].partition("(")[0]: function.strip() for function in functions}
        needed: list[str] = []
        for name in reversed(named):
            if f"gw_{name}(" in text:
                needed.insert(0, named[name].replace("static void", "GW_PLAIN static void"))
                text += named[name]
        parts = [*([about.strip()] if needed else []), *needed, *parts]
    return parts


def _signature(recording: Recording) -> str:
    one = [not recording.whole or vector in recording.single for vector, _ in recording.tokens]
    tokens = [f"int {v.name}" if o else f"const int *{v.name}" for (v, _), o in zip(recording.tokens, one, strict=True)]
    numbers = [f"const float *{vector.name}" for vector in recording.numbers]
    outputs = [f"float *{name}" for name in recording.outputs]
    name, steps = ("gw_read", ["int steps"]) if recording.whole else ("gw_step", [])
    return f"int {name}({', '.join(['gw_state *s', *steps, *tokens, *numbers, *outputs])})"


def _names_signature(model: StepModel) -> str:
    return f"extern const char *const gw_tokens[{len(model.tokens)}]"


def _names(model: StepModel) -> str:
    entries = ",\n    ".join(string(token) for token in model.tokens)
    return f"{_names_signature(model).removeprefix('extern ')} = {{\n    {entries}\n}};"
