"""Equations as MathML, which browsers draw without any script."""

from __future__ import annotations

from html import escape

from .cell import Cell
from .expression import Node
from .listing import typeset

_OPEN, _CLOSE = ('<mo stretchy="false">(</mo>', '<mo stretchy="false">)</mo>')  # of one height in every line


def _called(name: str) -> str:
    return f"<mrow><mi>{name}</mi>{_OPEN}{{}}{_CLOSE}</mrow>"


_ONE, _BEFORE = "<mn>1</mn>", "<mi>t</mi><mo>−</mo><mn>1</mn>"
_ONES = f"<msup>{_ONE}<mo>⊤</mo></msup>"
_SOFTPLUS = f"<mrow><mi>log</mi>{_OPEN}{_ONE}<mo>+</mo><msup><mi>e</mi>{{}}</msup>{_CLOSE}</mrow>"

# How each operation is typeset, given its arguments already typeset.
MATHML = {
    "add": "<mrow>{}<mo>+</mo>{}</mrow>",
    "sub": "<mrow>{}<mo>−</mo>{}</mrow>",
    "mul": "<mrow>{}<mo>⊙</mo>{}</mrow>",
    "div": "<mfrac>{}{}</mfrac>",
    "neg": "<mrow><mo>−</mo>{}</mrow>",
    "sigmoid": _called("σ"),
    "tanh": _called("tanh"),
    "relu": _called("relu"),
    "step": f"<mrow>{_ONE}<mo>[</mo>{{}}<mo>&gt;</mo><mn>0</mn><mo>]</mo></mrow>",
    "exp": _called("exp"),
    "log": _called("log"),
    "sqrt": "<msqrt>{}</msqrt>",
    "mean": _called("mean"),
    "spread": _called("spread"),
    "head_sum": _called("sum"),
    "rows": f"<mrow>{_OPEN}{{}}{_CLOSE}{_ONES}</mrow>",
    "row_sum": f"<mrow>{_OPEN}{{}}{_CLOSE}{_ONE}</mrow>",
    "columns": f"<mrow>{_ONE}<msup><mrow>{_OPEN}{{}}{_CLOSE}</mrow><mo>⊤</mo></msup></mrow>",
    "column_sum": f"<mrow><msup><mrow>{_OPEN}{{}}{_CLOSE}</mrow><mo>⊤</mo></msup>{_ONE}</mrow>",
    "softplus": _SOFTPLUS,
    "maximum": f"<mrow><mi>max</mi>{_OPEN}{{}}<mo>,</mo>{{}}{_CLOSE}</mrow>",
    "minimum": f"<mrow><mi>min</mi>{_OPEN}{{}}<mo>,</mo>{{}}{_CLOSE}</mrow>",
    "matmul": "<mrow>{}{}</mrow>",
}


def mathml(cell: Cell) -> list[str]:
    """The equations, one `<math>` element per named value."""
    made = typeset(cell, MATHML, _letter, f"<mrow>{_OPEN}{{}}{_CLOSE}</mrow>")
    return [f'<math display="block"><mrow>{left}<mo>=</mo>{right}</mrow></math>' for left, right in made]


def _letter(node: Node, name: str) -> str:
    """A name with its indices: those of a gate, and t or t - 1 for what changes from step to step."""
    if node.op == "constant":
        return f"<mn>{float(name):g}</mn>"
    base, _, gate = name.removesuffix("_prev").partition(".")
    stem, _, under = base.partition("_")
    letters = stem.rstrip("0123456789") or stem
    above = stem.removeprefix(letters)  # x3 is x after round 3
    below = [f"<mi>{escape(part)}</mi>" for part in (under, gate) if part]
    if node.op != "weight":
        below.append(_BEFORE if name.endswith("_prev") else "<mi>t</mi>")
    parts = [f"<mrow>{'<mo>,</mo>'.join(below)}</mrow>"] * bool(below) + [f"<mtext>({above})</mtext>"] * bool(above)
    letter = f"<mi>{escape(letters)}</mi>"
    tag = "msubsup" if below and above else "msub" if below else "msup"
    return f"<{tag}>{letter}{''.join(parts)}</{tag}>" if parts else letter
