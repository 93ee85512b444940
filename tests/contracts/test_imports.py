"""Which folder may import which: `docs/architecture.md`, "The house"."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "gatewise"

# Modules that belong to the whole house.
COMMON = {"checks", "errors", "files"}

MAY_IMPORT = {
    "algebra": set(),
    "cells": {"algebra"},
    "native": {"algebra", "numpy"},
    "engine": {"algebra", "cells", "native", "torch"},
    "nn": {"cells", "algebra", "engine", "torch"},
    "data": {"numpy", "tokenizers", "duckdb", "soundfile", "PIL", "adbc_driver_postgresql"},
    "decoding": {"data", "numpy"},
    "metrics": {"data", "numpy", "sacrebleu"},
    "training": {"torch", "lightning", "numpy", "safetensors", "rich"},
    "plots": {"training", "numpy", "matplotlib"},
    "runtime": {"algebra", "data", "decoding", "bundle", "numpy", "safetensors"},
    "tasks": {
        *("algebra", "cells", "nn", "data", "training", "runtime", "bundle", "torch", "numpy", "matplotlib"),
        *("decoding", "metrics", "plots", "sacrebleu", "safetensors", "sklearn"),
    },
    "bench": {"algebra", "cells", "engine", "nn", "torch", "numpy", "onnx", "onnxruntime", "jax", "keras"},
    "cli": None,  # anything, inside functions; see test_light_start.py
}

FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_imports_only_what_it_may(path):
    folder = path.relative_to(ROOT).parts[0]
    allowed = MAY_IMPORT[folder]
    if allowed is None:
        return
    for line, name in imported(path):
        parts = name.split(".")
        fits = (
            parts[0] in sys.stdlib_module_names
            or (parts[0] == "gatewise" and own(parts[1:], folder, allowed))
            or parts[0] in allowed
        )
        assert fits, f"{path.relative_to(ROOT)}:{line} imports {name}, which {folder}/ may not"


def own(parts, folder, allowed):
    """Whether a module of ours may be imported."""
    whole = ".".join(parts)
    return (
        not parts or parts[0] in (COMMON | allowed | {folder}) or any(whole.startswith(a) for a in allowed if "." in a)
    )


def imported(path):
    """(line, absolute name) of everything a file imports, wherever in it."""
    package = ["gatewise", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                # `from . import x` names a module, `from .x import y` one in it; from the package's top, a folder.
                yield node.lineno, ".".join([*stem, alias.name] if stem == base else stem + deeper(stem, alias.name))


def deeper(stem, name):
    """The imported name too, if it is a module of ours."""
    inside = ROOT.joinpath(*stem[1:], f"{name}.py") if stem[0] == "gatewise" else None
    return [name] if inside is not None and inside.exists() else []


@pytest.mark.parametrize("folder", ["cells"])
def test_siblings_do_not_import_each_other(folder):
    public = {path.stem for path in (ROOT / folder).glob("*.py") if not path.stem.startswith("_")}
    for path in (ROOT / folder).glob("[!_]*.py"):
        for line, name in imported(path):
            parts = name.split(".")
            sibling = parts[:2] == ["gatewise", folder] and len(parts) > 2 and parts[2] in public - {path.stem}
            assert not sibling, f"{path.relative_to(ROOT)}:{line} imports its sibling {parts[2]}"
