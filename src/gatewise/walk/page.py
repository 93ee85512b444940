"""The walk as one page: stories and the cell's graph as data, and scripts that draw it and compute it anew."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..algebra.derive import results
from ..algebra.expression import LEAVES, Node, order
from ..algebra.listing import lines
from ..errors import OptionError
from ..files import atomic
from ..pages import assembled, parts
from ..runtime import equations
from .panels import Panels, panels
from .story import Array, Story

SCRIPTS = ("texts.js", "evaluate.js", "maths.js", "pictures.js", "drawing.js", "strip.js", "unfold.js", "page.js")


def page(stories: Sequence[Story]) -> str:
    """The page of one or more stories of one cell. It needs no other file and asks for nothing.

    Raises:
        OptionError: The stories are of different cells.
    """
    return assembled(
        parts(__package__, "body.html"),
        style=parts(__package__, "style.css"),
        script=parts(__package__, *SCRIPTS),
        data={"document": as_document(stories)},
    )


def write(stories: Sequence[Story], output: Path) -> None:
    """Write the page of these stories, replacing the file if there is one.

    Raises:
        OptionError: The file cannot be written, or the stories are of different cells.
    """
    if output.is_dir() or not output.resolve().parent.is_dir():
        wrong = "is a folder" if output.is_dir() else "would lie in a folder that is not there"
        raise OptionError(f"'{output}' {wrong}. Name a file for the page, such as walk.html")
    text = page(stories)
    with atomic(output) as temporary:
        temporary.write_text(text, "utf-8")


def as_document(stories: Sequence[Story]) -> dict[str, Any]:
    """What the page's scripts read: the graph once, and each story."""
    if len({replace(story.cell, heads=1).equations for story in stories}) != 1:
        raise OptionError("the stories of a page must be of one cell")
    drawn = panels(stories[0].cell)
    cell, back = drawn.cell, drawn.back
    pins = drawn.pins
    forward = order(
        [
            *(cell.x, *cell.before, *cell.extras),
            *(block for p in cell.parameters for block in p.blocks),
            *cell.after,
            *(pin.value for pin in pins.values()),
            *(node for shelf in drawn.shelves for node in (shelf.keep, shelf.write)),
        ]
    )
    shown = [*(pins[name].value for name in drawn.gradients), *drawn.sums.values(), *cell.before, cell.x]
    gradients = {node: back.gradients[node] for node in shown if node in back.gradients}
    backward = order([*back.seeds, *results(back), *gradients.values()], known=forward)
    nodes = list(dict.fromkeys([*forward, *backward]))
    index = {node: i for i, node in enumerate(nodes)}
    helpers = lines([*cell.names, *cell.after], cell.names)
    known = dict.fromkeys([*forward, *gradients.values()], "")
    helpers |= {node: name for node, name in lines(backward, known, "u").items() if name}
    return {
        "cell": {"name": cell.name, "summary": cell.summary, "source": cell.source, "carry": cell.carry},
        "nodes": [_node(node, index) for node in nodes],
        "forward": len(forward),
        "x": index[cell.x],
        "before": [index[node] for node in cell.before],
        "after": [index[node] for node in cell.after],
        "seeds": [index[node] for node in back.seeds],
        "handed": [index[node] for node in back.before],
        "pins": {name: [index[n] for n in (pin.value, pin.computed, pin.free, pin.held)] for name, pin in pins.items()},
        "helpers": {index[node]: name for node, name in helpers.items() if node not in cell.names},
        "sums": {name: index[node] for name, node in drawn.sums.items()},
        "gradients": [[index[node], index[gradient]] for node, gradient in gradients.items()],
        "weights": [_weight(block, drawn, index) for p in cell.parameters for block in p.blocks],
        "doors": drawn.doors,
        "notes": drawn.notes,
        "shelves": [[shelf.carried, index[shelf.keep], index[shelf.write]] for shelf in drawn.shelves],
        "order": drawn.gradients,
        "stories": [_story(story) for story in stories],
    }


def _node(node: Node, index: dict[Node, int]) -> list[Any]:
    """[operation, size letter, arguments...], or of a leaf [kind, size letter, label]."""
    inside = [node.label] if node.op in LEAVES else [index[arg] for arg in node.args]
    return [node.op, node.size.letter, *inside]


def _weight(block: Node, drawn: Panels, index: dict[Node, int]) -> dict[str, Any]:
    back = drawn.back
    return {
        "name": block.label,
        "node": index[block],
        "rows": block.size.letter,
        "columns": block.columns and block.columns.letter,
        "diagonal": block.diagonal,
        "outer": [[index[g], index[v]] for g, v in back.matrices.get(block, ())],
        "sum": index[back.vectors[block]] if block in back.vectors else None,
    }


def _story(story: Story) -> dict[str, Any]:
    blocks = equations.blocks(story.cell, story.weights)
    head = story.head
    return {
        "name": story.name,
        "steps": story.steps,
        "sizes": dict(story.sizes),
        "heads": story.cell.heads,
        "features": story.features or [f"x{j + 1}" for j in range(story.x.shape[1])],
        "units": story.units or None,
        "assumed": story.assumed,
        "x": _numbers(story.x),
        "start": [_numbers(s) for s in story.start],
        "weights": {node.label: _numbers(block) for node, block in blocks.items()},
        "arriving": story.arriving and [_numbers(a) for a in story.arriving],
        "head": head
        and {
            "weight": _numbers(head.weight),
            "bias": _numbers(head.bias),
            "symbols": head.symbols,
            "targets": head.targets,
        },
    }


def _numbers(array: Array) -> str:
    """In base64, as little-endian float64, or float32 where that is the same."""
    small = array.astype("<f4")
    exact = np.array_equal(small, array)
    return ("f4:" if exact else "f8:") + base64.b64encode((small if exact else array.astype("<f8")).tobytes()).decode()
