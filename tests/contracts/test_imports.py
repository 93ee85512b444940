"""Which module may import which: `docs/architecture.md`, "The house"."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "gatewise"

COMMON = {
    "errors",
    "files",
    "checks",
    "document",
    "terminal",
    "launch",
    "lifeline",
    "sharing",
}  # modules that belong to the whole house

MAY_IMPORT = {  # folder -> what its files may import, wherever in them, besides the standard library
    "algebra": set(),
    "cells": {"algebra"},
    "native": {"algebra", "numpy"},
    "engine": {"algebra", "cells", "native", "torch", "triton"},
    "nn": {"algebra", "cells", "native", "engine", "randomness", "ranks", "torch", "numpy"},
    "data": {"numpy", "tokenizers", "duckdb", "soundfile", "PIL", "adbc_driver_postgresql"},
    "decoding": {"data", "numpy"},
    "metrics": {"data", "numpy", "sacrebleu"},
    "pages": set(),
    "compression": {"numpy"},
    "bundle": {"compression", "numpy", "safetensors"},
    "ranks": {"torch"},
    "randomness": {"ranks", "torch"},
    "training": {"randomness", "ranks", "torch", "lightning", "numpy", "safetensors", "rich"},
    "plots": {"training", "numpy", "matplotlib"},
    "watch": {"algebra", "engine", "nn", "training", "pages", "torch"},
    "runtime": {"algebra", "cells", "native", "data", "decoding", "compression", "bundle", "numpy", "safetensors"},
    "export": {"algebra", "compression", "runtime", "pages", "numpy"},
    "walk": {"algebra", "runtime", "pages", "numpy"},
    "interop": {
        *("algebra", "cells", "data", "bundle", "runtime", "tasks", "numpy", "safetensors"),
        *("torch", "h5py", "keras", "onnx", "onnxruntime"),
    },
    "tasks": {
        *("algebra", "cells", "native", "engine", "nn", "data", "decoding", "metrics", "bundle", "training", "plots"),
        *(
            "watch",
            "compression",
            "runtime",
            "randomness",
            "ranks",
            "torch",
            "numpy",
            "matplotlib",
            "safetensors",
            "sacrebleu",
            "sklearn",
        ),
    },
    "bench": {"algebra", "cells", "engine", "nn", "torch", "numpy", "onnx", "onnxruntime", "jax", "keras"},
    "serve": {
        *("data", "decoding", "bundle", "runtime", "tasks", "pages", "numpy", "safetensors"),
        *("fastapi", "starlette", "pydantic", "uvicorn", "prometheus_client"),
    },
    "explanation": {
        "algebra",
        "native",
        "nn",
        "data",
        "decoding",
        "bundle",
        "runtime",
        "tasks",
        "walk",
        "pages",
        "numpy",
        "torch",
    },
    "tuning": {
        *("algebra", "cells", "metrics", "bundle", "training", "tasks", "pages", "numpy"),
        *("optuna", "sqlalchemy", "torch", "rich"),
    },
    "cli": None,  # anything, inside functions; see test_light_start.py
    "__main__": None,
    "__init__": None,
}

# Torch by file name: what learns may import it at the top, what measures inside functions, what serves never.
LEARNS = {"network", "batches", "losses", "fitting", "averaging", "budgeting", "prepared", "lbfgs", "decoder_network"}
MEASURES = {"estimator", "evaluation", "baselines"}
NEEDS_TORCH = {
    "ranks",
    "engine",
    "nn",
    "randomness",
    "training",
    "watch",
    "bench",
}  # folders of which some files import it at the top; so does a file that users of torch copy, interop/torch_chain.py

TORCH = {"torch", "lightning"}

FILES = sorted(ROOT.rglob("*.py"))


def module_of(path):
    """`gatewise.data.tables.table`; a package's is its folder's."""
    parts = ("gatewise", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@functools.cache
def imported(path, deferred):
    """(line, absolute name) of what a file imports: when it is imported itself, or with `deferred` wherever in it."""
    package = ["gatewise", *path.relative_to(ROOT).parts[:-1]]
    found = []
    for node in walk(ast.parse(path.read_text()), deferred):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module.split(".") if node.module else [])])
            for alias in node.names:  # `from . import x` may name a module, or what a package hands on
                inside = f"{stem}.{alias.name}"
                found.append((node.lineno, inside if inside in MODULES else stem))
    return found


def walk(tree, deferred):
    """The nodes of a file; without `deferred` neither those inside functions nor those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if not deferred and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        ):
            continue
        yield node
        yield from walk(node, deferred)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_imports_only_what_it_may(path):
    folder = path.relative_to(ROOT).with_suffix("").parts[0]
    allowed = MAY_IMPORT.get(folder, set())
    if allowed is None or (path.parent == ROOT and path.stem == "__init__"):
        return
    for line, name in imported(path, deferred=True):
        first, *rest = name.split(".")
        stays = first == "gatewise" and (not rest or rest[0] in COMMON | allowed | {folder})
        assert stays or first in sys.stdlib_module_names or first in allowed, (
            f"{path.relative_to(ROOT)}:{line} imports {name}, which {folder} may not"
        )


@pytest.mark.parametrize("folder", ["cells", "tasks"])
def test_siblings_do_not_import_each_other(folder):
    """No cell another cell, no task another task."""
    homes = {p.stem if p.suffix else p.name for p in (ROOT / folder).iterdir() if folder == "cells" or p.is_dir()}
    for path in sorted((ROOT / folder).rglob("*.py")):
        own = path.relative_to(ROOT / folder).with_suffix("").parts[0]
        for line, name in imported(path, deferred=True):
            parts = name.split(".")
            sibling = parts[:2] == ["gatewise", folder] and len(parts) > 2 and parts[2] in homes - {own}
            registry = path == ROOT / folder / "__init__.py"
            assert not sibling or registry, f"{path.relative_to(ROOT)}:{line} imports {name}"


def graph(deferred):
    """Module -> the modules of ours that it imports. What a package hands on lazily is not its own."""
    return {
        name: {
            other
            for _, other in imported(path, deferred and path.name != "__init__.py")
            if other in MODULES and other != name
        }
        for name, path in MODULES.items()
    }


def reached(start, edges):
    """Every module that importing one loads, with the packages on the way to each."""
    seen, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in edges:
            continue
        seen.add(name)
        parents = name.split(".")[:-1]
        waiting += [*edges[name], *(".".join(parents[:n]) for n in range(1, len(parents) + 1))]
    return seen


def test_there_is_no_circle():
    """Not even one that a function or a type checker closes."""
    edges = graph(deferred=True)
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for other in sorted(edges[name]):
            visit(other)
        done.add(path.pop())

    for name in sorted(edges):
        visit(name)


def serves(name):
    """Whether a module belongs to the half that runs without torch."""
    parts = name.split(".")[1:]
    if parts[:1] == ["tasks"]:
        return parts[-1] not in LEARNS
    return not parts or (parts[0] not in NEEDS_TORCH and parts != ["interop", "torch_chain"])


SERVING = sorted(filter(serves, MODULES))


@pytest.mark.parametrize("name", SERVING)
def test_what_serves_loads_no_torch(name):
    """Whatever it imports imports none either."""
    edges = graph_at_import()
    for other in sorted(reached(name, edges)):
        for line, imports in imported(MODULES[other], deferred=False):
            assert imports.split(".")[0] not in TORCH, f"{name} loads {other}, whose line {line} imports {imports}"


graph_at_import = functools.cache(lambda: graph(deferred=False))


@pytest.mark.parametrize("name", [name for name in SERVING if name.startswith("gatewise.tasks.")])
def test_what_answers_knows_no_torch(name):
    """Predictors and what they need do not import it inside a function either, nor a module that loads it."""
    if name.split(".")[-1] in MEASURES:
        return
    for line, imports in imported(MODULES[name], deferred=True):
        hint = f"{name}, line {line}, imports {imports}"
        assert imports.split(".")[0] not in TORCH, hint
        if typed_only(MODULES[name], line):
            continue
        learns = imports.startswith("gatewise.tasks.") and imports.split(".")[-1] in LEARNS | MEASURES - {"baselines"}
        assert not learns, hint
        assert not (culprits := loading_torch(imports)), f"{hint}, which loads torch through {', '.join(culprits)}"


def loading_torch(name):
    """The modules that import torch when this one is imported, or when a name is used that it hands on lazily."""
    starts = {name}
    if name in MODULES and MODULES[name].name == "__init__.py":
        starts |= {other for _, other in imported(MODULES[name], deferred=True)}
    loaded = set().union(*(reached(start, graph_at_import()) for start in starts))
    return sorted(
        other for other in loaded if any(n.split(".")[0] in TORCH for _, n in imported(MODULES[other], deferred=False))
    )


def typed_only(path, line):
    """Whether an import is for type checkers alone."""
    blocks = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.If)]
    return any("TYPE_CHECKING" in ast.unparse(n.test) and n.lineno < line <= (n.end_lineno or 0) for n in blocks)


def test_what_serves_can_be_imported_where_torch_cannot():
    code = f"""
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {TORCH!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Blocked())
for name in {SERVING!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_tree_of_the_docs_is_the_tree_on_disk():
    text = (ROOT.parents[1] / "docs" / "architecture.md").read_text()
    tree = re.search(r"```\nsrc/gatewise/\n(.*?)```", text, re.DOTALL)[1]
    said, stack = set(), []
    for line in filter(str.strip, tree.split("\n")):
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        stack = [*stack[: depth - 1], name.rstrip("/")]
        said.add("/".join(stack))
    there = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_dir() and path.name != "__pycache__"}
    there |= {path.name for path in ROOT.glob("*.py") if path.name != "__init__.py"}
    assert said == there


def test_the_table_of_the_docs_is_the_one_that_is_tested():
    text = (ROOT.parents[1] / "docs" / "architecture.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+?)(?:/|\.py)` \| (.*) \|$", text, re.MULTILINE))
    for folder, allowed in MAY_IMPORT.items():
        if allowed is not None:
            words = set(re.findall(r"\w+", rows[folder]))
            assert allowed <= words, f"docs/architecture.md does not say that {folder} may import {allowed - words}"


def test_the_file_names_of_the_docs_are_those_of_the_tasks():
    """And its column on torch is what is tested."""
    text = (ROOT.parents[1] / "docs" / "architecture.md").read_text()
    table = text.partition("| file | what is in it | torch |\n")[2].partition("\n\n")[0]
    said = [(name, row[2]) for row in map(columns_of, table.splitlines()) for name in re.findall(r"`(\w+)`", row[0])]
    stems = {path.stem for folder in (ROOT / "tasks").iterdir() if folder.is_dir() for path in folder.rglob("*.py")}
    stems.remove("__init__")
    assert sorted(name for name, _ in said) == sorted(stems)
    for torch, names in {
        "at the top": LEARNS & stems,
        "inside functions": MEASURES,
        "never": stems - LEARNS - MEASURES,
    }.items():
        assert {name for name, column in said if column == torch} == names, torch


def columns_of(row):
    return [cell.strip() for cell in row.strip("|").split("|")]
