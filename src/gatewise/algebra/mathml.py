"""Equations as MathML, which browsers draw without any script."""

from __future__ import annotations

from html import escape

from .cell import Cell
from .expression import Node
from .listing import typeset


def _called(name: str) -> str:
    return f"<mrow><mi>{name}</mi><mo>(</mo>{{}}<mo>)</mo></mrow>"


_ONE = "<mn>1</mn>"
_ONES = f"<msup>{_ONE}<mo>⊤</mo></msup>"
_SOFTPLUS = f"<mrow><mi>log</mi><mo>(</mo>{_ONE}<mo>+</mo><msup><mi>e</mi>{{}}</msup><mo>)</mo></mrow>"

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
    "rows": f"<mrow><mo>(</mo>{{}}<mo>)</mo>{_ONES}</mrow>",
    "row_sum": f"<mrow><mo>(</mo>{{}}<mo>)</mo>{_ONE}</mrow>",
    "columns": f"<mrow>{_ONE}<msup><mrow><mo>(</mo>{{}}<mo>)</mo></mrow><mo>⊤</mo></msup></mrow>",
    "column_sum": f"<mrow><msup><mrow><mo>(</mo>{{}}<mo>)</mo></mrow><mo>⊤</mo></msup>{_ONE}</mrow>",
    "softplus": _SOFTPLUS,
    "maximum": "<mrow><mi>max</mi><mo>(</mo>{}<mo>,</mo>{}<mo>)</mo></mrow>",
    "minimum": "<mrow><mi>min</mi><mo>(</mo>{}<mo>,</mo>{}<mo>)</mo></mrow>",
    "matmul": "<mrow>{}{}</mrow>",
}


def mathml(cell: Cell) -> list[str]:
    """The equations, one `<math>` element per named value."""
    made = typeset(cell, MATHML, _letter, "<mrow><mo>(</mo>{}<mo>)</mo></mrow>")
    return [f'<math display="block"><mrow>{left}<mo>=</mo>{right}</mrow></math>' for left, right in made]


def _letter(node: Node, name: str) -> str:
    """A name with its indices: those of a gate, and t or t - 1 for what changes from step to step."""
    if node.op == "constant":
        return f"<mn>{float(name):g}</mn>"
    base, _, gate = name.removesuffix("_prev").partition(".")
    stem, _, under = base.partition("_")
    letters = stem.rstrip("0123456789") or stem
    above = stem.removeprefix(letters)  # x3 is x after round 3
    time = "" if node.op == "weight" else "t−1" if name.endswith("_prev") else "t"
    below = ", ".join(filter(None, (under, gate, time)))
    letter = f"<mi>{escape(letters)}</mi>"
    parts = [f"<mtext>{escape(below)}</mtext>"] * bool(below) + [f"<mtext>({above})</mtext>"] * bool(above)
    tag = "msubsup" if below and above else "msub" if below else "msup"
    return f"<{tag}>{letter}{''.join(parts)}</{tag}>" if parts else letter
