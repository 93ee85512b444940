"""Numbers, tables and text as C has them."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray

_PER_LINE = 16  # numbers


def table(kind: str, name: str, values: Array) -> str:
    text = [number(value) for value in values.reshape(-1)] if kind == "float" else [f"{int(v)}" for v in values.flat]
    lines = [", ".join(text[start : start + _PER_LINE]) for start in range(0, len(text), _PER_LINE)]
    body = ",\n    ".join(lines)
    return f"static const {kind} {name}[{len(text)}] = {{\n    {body}\n}};"


def number(value: Any) -> str:
    if value != value:  # only among examples, of which values may be missing
        return "NAN"
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def comment(text: str) -> str:
    """Text of a model file, which may be a stranger's, inside a comment or a string."""
    return (
        "".join(c if " " <= c <= "~" and c not in '\\"?' else "_" for c in text).replace("*/", "*_").replace("/*", "/_")
    )


def string(text: str) -> str:
    r"""A literal of its bytes. Three digits, for a shorter escape would go on into the next character."""
    plain = {c: c for c in map(chr, range(32, 127)) if c not in '\\"?'}
    return '"' + "".join(plain.get(chr(byte)) or f"\\{byte:03o}" for byte in text.encode("utf-8", "replace")) + '"'
