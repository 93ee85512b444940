"""ONNX: files that any engine runs, written from a model's network and read into one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...errors import OptionError

if TYPE_CHECKING:
    from .operators import checked as checked
    from .running import NOT_PROVED as NOT_PROVED
    from .writing import Written as Written
    from .writing import write as write

# Public name -> module it lives in.
_HOME = {"NOT_PROVED": "running", "Written": "writing", "checked": "operators", "write": "writing"}
__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import onnx  # noqa: F401  # whether it is there
    except ImportError as error:
        raise OptionError("ONNX files need the package onnx: pip install 'gatewise[exchange]'") from error
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
