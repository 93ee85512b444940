"""Programs and equations as text: for people, for review (`tests/algebra/golden`), for the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count

from .cell import Cell
from .expression import Node, order
from .stages import Accumulator, Program, backward_program, forward_program


def listing(cell: Cell) -> str:
    """Stages, forward and backward program of a cell."""
    forward, back = forward_program(cell), backward_program(cell)
    saves = " ".join(forward.names[node] for node in forward.saves)
    lines = [f"{cell.name} forward", *_program(forward), f"  saves {saves}" if saves else "  saves nothing"]
    return "\n".join([*lines, "", f"{cell.name} backward", *_program(back), ""])


def _program(program: Program) -> Iterator[str]:
    names = program.names

    def name(node: Node) -> str:
        return names.get(node) or node.label

    def total(accumulator: Accumulator) -> str:
        products = [f"{p.weight.label}{'^T' * p.transposed} {name(p.vector)}" for p in accumulator.products]
        return " + ".join([*products, *(bias.label for bias in accumulator.biases)])

    for number, stage in enumerate(program.stages):
        yield f"  stage {number}"
        for accumulator in stage.accumulators:
            yield f"    {name(accumulator.node)} = {total(accumulator)}"
        for instruction in stage.instructions:
            yield f"    {name(instruction.out)} = {instruction.op} {' '.join(map(name, instruction.args))}"
    if program.gradients:
        yield "  gradients"
        for gradient in program.gradients:
            vector = f" {name(gradient.vector)}^T" if gradient.vector is not None else ""
            yield f"    {gradient.weight.label} += {name(gradient.value)}{vector}"
    yield "  returns " + ", ".join(
        label if name(node) == label else f"{label} = {name(node)}" for label, node in program.outputs
    )


def equations(cell: Cell) -> list[str]:
    """The equations, one line per named value, as Python would read them."""
    names = lines([*cell.names, *cell.after], cell.names)
    return [f"{name} = {expression(node, {**names, node: ''})}" for node, name in names.items()]


_INFIX = {"add": ("+", 1), "sub": ("-", 1), "mul": ("*", 2), "div": ("/", 2), "matmul": ("@", 2)}


def expression(node: Node, names: Mapping[Node, str], level: int = 0) -> str:
    """A node as Python would read it.

    Args:
        names: What stands for nodes inside it.
        level: How strongly what is around it binds: 0 for nothing, 3 for a sign.
    """
    if names.get(node):
        return names[node]
    if not node.args:
        return node.label.removesuffix(".0") if node.op == "constant" else node.label
    if node.op == "neg":
        return f"-{expression(node.args[0], names, 3)}"
    if node.op not in _INFIX:
        return f"{node.op}({', '.join(expression(arg, names, 1) for arg in node.args)})"
    sign, strength = _INFIX[node.op]
    left, right = (expression(arg, names, strength + side) for side, arg in enumerate(node.args))
    written = f"{left} {sign} {right}"
    return f"({written})" if level > strength else written


def lines(roots: Sequence[Node], known: Mapping[Node, str], letter: str = "t") -> dict[Node, str]:
    """What gets a line of its own: all that has a name, what several lines would repeat, and what would make another
    line too long to read.

    Args:
        roots: What the lines compute in the end.
        known: The names that there are; others are `letter` and a number.
    """
    names: dict[Node, str] = {}
    length: dict[Node, int] = {}
    uses = Counter(arg for node in order(roots) for arg in node.args)
    spare = (name for name in (f"{letter}{i}" for i in count(1)) if name not in known.values())
    for node in order(roots):
        length[node] = 1 + sum(1 if arg in names else length[arg] for arg in node.args)
        if node in known:
            names[node] = known[node]
        elif length[node] > 40 or (uses[node] > 1 and length[node] > 4):
            names[node] = next(spare)
    return names


# How each operation is typeset, given its arguments already typeset.
LATEX = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": r"{} \odot {}",
    "div": r"\frac{{{}}}{{{}}}",
    "neg": "-{}",
    "sigmoid": r"\sigma({})",
    "tanh": r"\tanh({})",
    "relu": r"\mathrm{{relu}}({})",
    "step": r"\mathbb{{1}}[{} > 0]",
    "exp": r"\exp({})",
    "log": r"\log({})",
    "sqrt": r"\sqrt{{{}}}",
    "mean": r"\mathrm{{mean}}({})",
    "spread": r"\mathrm{{spread}}({})",
    "head_sum": r"\mathrm{{sum}}({})",
    "rows": r"({}) 1^\top",
    "row_sum": r"({}) 1",
    "columns": r"1 ({})^\top",
    "column_sum": r"({})^\top 1",
    "softplus": r"\log(1 + e^{{{}}})",
    "maximum": r"\max({}, {})",
    "minimum": r"\min({}, {})",
    "matmul": "{} {}",
}


_TIGHT = ("matmul", "mul", "neg", "sub")  # operations whose arguments need brackets when they are sums


def latex(cell: Cell) -> list[str]:
    """The equations, one LaTeX line per named value."""
    return [f"{left} = {right}" for left, right in typeset(cell, LATEX, lambda _, name: _letter(name), "({})")]


def typeset(
    cell: Cell, table: Mapping[str, str], letter: Callable[[Node, str], str], brackets: str
) -> Iterator[tuple[str, str]]:
    """Both sides of each equation, by a table such as `LATEX`.

    Args:
        letter: What stands for a leaf, or for a value that has a line of its own, of a name.
        brackets: Around a sum inside a product.
    """
    letters = {node: letter(node, name) for node, name in lines([*cell.names, *cell.after], cell.names).items()}

    def inside(node: Node, parent: str) -> str:
        text = letters.get(node) or written(node)
        loose = ("add", "sub", "neg", "mul") if parent == "matmul" else ("add", "sub", "neg")
        bare = node in letters or node.op not in loose or parent not in _TIGHT
        return text if bare else brackets.format(text)

    def written(node: Node) -> str:
        if node.leaf:
            return letter(node, node.label)
        scaled = node.op == "mul" and node.args[0].op == "constant"  # 2 v, where two vectors are u \odot v
        return (table["matmul"] if scaled else table[node.op]).format(*(inside(arg, node.op) for arg in node.args))

    return ((text, written(node)) for node, text in letters.items())


def _letter(name: str) -> str:
    if name.endswith("_prev"):
        stem, _, under = name.removesuffix("_prev").partition("_")
        return f"{stem}_{{{under}{', ' if under else ''}t-1}}"  # LaTeX takes one subscript only
    try:
        return f"{float(name):g}"
    except ValueError:
        pass
    base, _, gate = name.partition(".")
    stem, _, under = base.partition("_")
    below = "".join([under, gate])
    letters = stem.rstrip("0123456789")
    above = f"^{{{stem.removeprefix(letters)}}}" if letters not in ("", stem) else ""  # x3 is x after round 3
    if not below and base.islower():
        return f"{letters or stem}{above}_t"
    return f"{letters or stem}{above}_{{{below}}}" if below else f"{letters or stem}{above}"
