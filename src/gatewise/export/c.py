"""A model in C99: one header, one file of code and weights, and a program that tests them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from ..errors import OptionError
from ..runtime.recording import Layer, Pass, Recording, StepModel
from .printer import LayerPrinter, network_lines
from .weights import ROWS, blocked, held, quantised

Array = np.ndarray

KINDS = ("float32", "int8")
_PER_LINE = 16  # numbers

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

_HELPERS |= {
    "gw_above": """
/* out[2][D][R][Q]: at which share of the steps of x[steps][C], and of its changes, each convolution is above each of its
   thresholds. */
static void gw_above(float *out, const float *x, int steps, const int32_t *dilations, const int32_t *kernels,
                     const int32_t *reads, const float *thresholds, int D, int R, int C, int Q, int longest) {{
    int step = steps / longest > 1 ? steps / longest : 1, count = (steps + step - 1) / step, v, d, r, q, t, k, c;
    for (v = 0; v < 2; v++)
        for (d = 0; d < D; d++)
            for (r = 0; r < R; r++, reads += C, thresholds += Q, out += Q) {{
                const int32_t *twice = kernels + 3 * r;
                for (q = 0; q < Q; q++) out[q] = 0.0f;
                for (t = 0; t < count; t++) {{
                    float sum = 0.0f;
                    for (k = 0; k < 9; k++) {{
                        int p = t + (k - 4) * (int)dilations[d];
                        float tap = k == twice[0] || k == twice[1] || k == twice[2] ? 2.0f : -1.0f;
                        if (p < 0 || p >= count || (v && p == 0)) continue;
                        for (c = 0; c < C; c++)
                            if (reads[c]) sum += tap * (x[p * step * C + c] - (v ? x[(p - 1) * step * C + c] : 0.0f));
                    }}
                    for (q = 0; q < Q; q++) out[q] += sum > thresholds[q] ? 1.0f : 0.0f;
                }}
                for (q = 0; q < Q; q++) out[q] /= (float)count;
            }}
}}
""",
    "gw_stretch": """
/* y[T][C]: the means of x[steps][C] over T equal parts, where x does not change within a step. */
static void gw_stretch(float *y, const float *x, int steps, int C, int T) {{
    int t, c, p;
    for (t = 0; t < T; t++)
        for (c = 0; c < C; c++) {{
            float from = (float)t * (float)steps / (float)T, to = (float)(t + 1) * (float)steps / (float)T, sum = 0.0f;
            for (p = (int)from; p < steps && (float)p < to; p++) {{
                float low = from > (float)p ? from : (float)p, high = to < (float)(p + 1) ? to : (float)(p + 1);
                sum += (high - low) * x[p * C + c];
            }}
            y[t * C + c] = sum * (float)T / (float)steps;
        }}
}}
""",
    "gw_nearest": """
/* out[K]: the distance of x[T][C] to the nearest of series[N][T][C] of each class, of which each is one, under dynamic
   time warping with a band (Sakoe & Chiba 1978). T is at most 64. */
static void gw_nearest(float *out, const float *x, const float *series, const int32_t *classes, int N, int T, int C,
                       int K, int band) {{
    float before[65], row[65];
    int n, i, j, c;
    for (n = 0; n < K; n++) out[n] = 1e30f;
    for (n = 0; n < N; n++, series += T * C) {{
        for (j = 0; j <= T; j++) before[j] = j ? 1e30f : 0.0f;
        for (i = 0; i < T; i++) {{
            for (j = 0; j <= T; j++) row[j] = 1e30f;
            for (j = i > band ? i - band : 0; j < T && j <= i + band; j++) {{
                float cost = 0.0f, least = before[j] < before[j + 1] ? before[j] : before[j + 1];
                for (c = 0; c < C; c++) cost += (x[i * C + c] - series[j * C + c]) * (x[i * C + c] - series[j * C + c]);
                if (!band) least = before[j];
                row[j + 1] = cost + (row[j] < least && band ? row[j] : least);
            }}
            for (j = 0; j <= T; j++) before[j] = row[j];
        }}
        if (gw_sqrt(before[T]) < out[classes[n]]) out[classes[n]] = gw_sqrt(before[T]);
    }}
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
    return {"model.h": _header(model), "model.c": _code(model, kind), "model_test.c": _test(model)}


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
        return f"for (t = {count} - 1; t >= 0; t--) {{" if own.way == "backward" else f"for (t = 0; t < {count}; t++) {{"

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
        return _number(np.float32(value))

    def over(self, index: str, divisor: int) -> str:
        return f"{index} / {divisor}"

    def matrix(self, matrix: Array) -> str:
        name, small = self._name(matrix), self._kind == "int8" and held(matrix, "int8")
        if name not in self.used:
            self.used.add(name)
            if small:
                whole, scale = quantised(matrix)
                self.tables += [_table("int8_t", name, blocked(whole)), _table("float", f"{name}_scale", scale)]
            else:
                self.tables.append(_table("float", name, blocked(matrix)))
        rows, columns = matrix.shape
        return f"8|{name}, {name}_scale|{rows}, {columns}" if small else f"|{name}|{rows}, {columns}"

    def vector(self, values: Array) -> str:
        name = self._name(values)
        if name not in self.used:
            self.used.add(name)
            self.tables.append(_table("float", name, values))
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
            self.tables.append(_table("int32_t", name, values))
        return name

    def helper(self, name: str, *arguments: object) -> str:
        self.used.add(name)
        return f"{name}({', '.join(map(str, arguments))});"

    def call(self, layer: Layer, x: str) -> str:
        return f"gw_{layer.name}(s, {x});"

    def _name(self, values: Array) -> str:
        return self._named.setdefault(id(values), (f"gw_w{len(self._named)}", values))[0]


def _runs(steps: str, own: Pass) -> str:
    """How often a pass runs over so many steps."""
    return steps if own.stride == 1 else f"({steps} + {own.stride - 1}) / {own.stride}"


_MOST_STEPS = [
    "#ifndef GW_MOST_STEPS /* of a sequence; gw_state grows with it */",
    "#define GW_MOST_STEPS 256",
    "#endif",
]
_STEPWISE = [
    "/* Before the first step of a sequence. */",
    "void gw_reset(gw_state *s);",
    "",
    "/* One step. 0; or -1 where a token is out of range, and then nothing has changed. */",
]
_LABELLED = [
    "",
    "/* The likeliest label of each step, from the scores that gw_read gave. s is memory to work in. 0 or -1, as above. */",
    "int gw_labels(gw_state *s, int steps, const float *scores, int *labels);",
]
_WHOLE = [
    "/* A whole sequence, its steps one behind the other. s is memory to work in. 0; or -1 where there is no step, or more",
    "   than GW_MOST_STEPS, or a token is out of range. */",
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
        f"/* {_comment(model.title)}",
        "",
        *map(_comment, arguments),
        "",
        "   Printed by gatewise export. No memory is taken from a heap and no library is called. */",
        "#ifndef GW_MODEL_H",
        "#define GW_MODEL_H",
        "",
        f'#define GW_DIGEST "{_comment(model.digest)}"',
        *(_MOST_STEPS if recording.whole else []),
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
    states = recording.states
    clear = [f"for (k = 0; k < {state.size}; k++) s->{state.name}[k] = 0.0f;" for state in states] or [
        "s->none = 0.0f;"
    ]
    scope = "static void" if recording.whole else "void"
    reset = _function(f"GW_PLAIN {scope} gw_reset(gw_state *s) {{", iter(clear))
    helpers = [
        text.format(ROWS=ROWS).strip().replace("static void", "GW_PLAIN static void")
        for name, text in _HELPERS.items()
        if name in language.used
    ]
    own = "\n".join([*functions, body, *helpers])
    parts = [
        f"/* {_comment(model.title)} See model.h. */",
        '#include "model.h"\n\n#include <stdint.h>',
        _NO_LIBRARY.strip(),
        _maths(own),
        *helpers,
        *language.tables,
        *functions,
        reset,
        body,
        *_labels(model),
        *([_names(model)] if model.tokens else []),
    ]
    return "\n\n".join(parts) + "\n"


_LABELS = """
int gw_labels(gw_state *s, int steps, const float *scores, int *labels) {{
    float best[{L}], next[{L}];
    int t, j, k, most;
    if (steps < 1 || steps > GW_MOST_STEPS) return -1;
    for (k = 0; k < {L}; k++) best[k] = scores[k] + gw_chain_start[k];
    for (t = 1; t < steps; t++) {{
        float largest = 0.0f;
        for (k = 0; k < {L}; k++) {{
            for (most = 0, j = 1; j < {L}; j++)
                if (best[j] + gw_chain_transitions[j * {L} + k] > best[most] + gw_chain_transitions[most * {L} + k]) most = j;
            next[k] = best[most] + gw_chain_transitions[most * {L} + k] + scores[t * {L} + k];
            if (k == 0 || next[k] > largest) largest = next[k];
            s->label_before[t * {L} + k] = most;
        }}
        for (k = 0; k < {L}; k++) best[k] = next[k] - largest; /* near zero, where sums stay exact */
    }}
    for (most = 0, k = 1; k < {L}; k++)
        if (best[k] + gw_chain_end[k] > best[most] + gw_chain_end[most]) most = k;
    for (t = steps - 1; t > 0; t--) {{
        labels[t] = most;
        most = s->label_before[t * {L} + most];
    }}
    labels[0] = most;
    return 0;
}}
"""


def _labels(model: StepModel) -> list[str]:
    """The function that finds the likeliest labels (Viterbi 1967), where neighbours have scores."""
    chain = {name: values for name, values in model.tables.items() if name.startswith("chain.")}
    if not chain:
        return []
    tables = [_table("float", f"gw_{name.replace('.', '_')}", values) for name, values in chain.items()]
    return [*tables, f"GW_PLAIN {_LABELS.format(L=len(chain['chain.start'])).strip()}"]


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


def _maths(text: str) -> str:
    """The functions that are called in a text, and those that these call."""
    whole = files(__package__).joinpath("maths.c").read_text("utf-8")
    comment, *functions = whole.replace("\nstatic ", "\0static ").split("\0")
    named = {function.partition("gw_")[2].partition("(")[0]: function.strip() for function in functions}
    needed: list[str] = []
    for name in reversed(named):
        if f"gw_{name}(" in text:
            needed.insert(0, named[name])
            text += named[name]
    return "\n\n".join([comment.strip(), *needed]) if needed else ""


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
    entries = ",\n    ".join(_string(token) for token in model.tokens)
    return f"{_names_signature(model).removeprefix('extern ')} = {{\n    {entries}\n}};"


def _test(model: StepModel) -> str:
    """A program that runs the model's examples and prints the largest difference."""
    recording, examples = model.recording, model.examples
    count = len(examples)
    token_names = [vector.name for vector, _ in recording.tokens]
    number_names = [vector.name for vector in recording.numbers]
    tables = [_table("int", f"in_{name}", examples.inputs[name].reshape(-1)) for name in token_names]
    tables += [_table("float", f"in_{name}", examples.inputs[name].reshape(-1)) for name in number_names]
    tables += [_table("float", f"out_{name}", examples.outputs[name].reshape(-1)) for name in recording.outputs]
    sizes = {name: vector.size for name, vector in recording.outputs.items()}
    if recording.whole:
        sizes = {name: examples.outputs[name].size for name in recording.outputs}
        ones = {vector.name for vector in recording.single}
        inputs = [f"in_{name}[0]" if name in ones else f"in_{name}" for name in token_names]
        inputs += [f"in_{name}" for name in number_names]
        run = f"gw_read(&state, {', '.join([str(count), *inputs, *recording.outputs])})"
    else:
        inputs = [f"in_{name}[t]" for name in token_names]
        inputs += [f"in_{vector.name} + t * {vector.size}" for vector in recording.numbers]
        run = f"gw_step(&state, {', '.join([*inputs, *recording.outputs])})"
    arrays = [f"    static float {name}[{size}];" for name, size in sizes.items()]
    compare = [
        f"for (k = 0; k < {size}; k++) worst = further(worst, {name}[k], out_{name}[{at}]);"
        for name, size in sizes.items()
        for at in ["k" if recording.whole else f"t * {size} + k"]
    ]
    once = [f"if ({run} != 0) return 2;", *compare]
    if model.labels is not None:
        tables.append(_table("int", "in_labels", model.labels))
        arrays.append(f"    static int labels[{count}];")
        once += [
            f"if (gw_labels(&state, {count}, scores, labels) != 0) return 2;",
            f"for (k = 0; k < {count}; k++) if (labels[k] != in_labels[k]) return 3;",
        ]
    runs = once if recording.whole else ["gw_reset(&state);", f"for (t = 0; t < {count}; t++) {{", *once, "}"]
    lines = [
        f"/* Runs steps that the model was run on when it was exported. {_comment(model.title)} */",
        '#include "model.h"\n',
        "#include <math.h>\n#include <stdio.h>\n",
        *tables,
        "",
        "/* Difference of two numbers, relative to the larger one where that is above 1. */",
        "static double further(double worst, double found, double wanted) {",
        "    double size = wanted < 0 ? -wanted : wanted, off = found < wanted ? wanted - found : found - wanted;",
        "    if (size > 1) off /= size;",
        "    return off <= worst || worst != worst ? worst : off; /* one that is not a number stays */",
        "}",
        "",
        "int main(void) {",
        "    static gw_state state;",
        *arrays,
        "    double worst = 0;",
        f"    int {'k' if recording.whole else 't, k'};",
        *(f"    {line}" for line in runs),
        f'    printf("{count} steps, largest difference %.3g\\n", worst);',
        f"    return worst <= {model.tolerance} ? 0 : 1;",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _table(kind: str, name: str, values: Array) -> str:
    text = [_number(value) for value in values.reshape(-1)] if kind == "float" else [f"{int(v)}" for v in values.flat]
    lines = [", ".join(text[start : start + _PER_LINE]) for start in range(0, len(text), _PER_LINE)]
    body = ",\n    ".join(lines)
    return f"static const {kind} {name}[{len(text)}] = {{\n    {body}\n}};"


def _number(value: Any) -> str:
    if value != value:  # only among examples, of which values may be missing
        return "NAN"
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _comment(text: str) -> str:
    """Text of a model file, which may be a stranger's, inside a comment or a string."""
    return (
        "".join(c if " " <= c <= "~" and c not in '\\"?' else "_" for c in text).replace("*/", "*_").replace("/*", "/_")
    )


def _string(text: str) -> str:
    r"""A literal of its bytes. Three digits, for a shorter escape would go on into the next character."""
    plain = {c: c for c in map(chr, range(32, 127)) if c not in '\\"?'}
    return '"' + "".join(plain.get(chr(byte)) or f"\\{byte:03o}" for byte in text.encode("utf-8", "replace")) + '"'
