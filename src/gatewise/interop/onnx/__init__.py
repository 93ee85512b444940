"""ONNX: files that any engine runs, written from a model's network and read into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import OptionError

if TYPE_CHECKING:
    from .writing import Written as Written
    from .writing import write as write

__all__ = ["Written", "write"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import onnx  # noqa: F401  # whether it is there
    except ImportError as error:
        raise OptionError("ONNX files need the package onnx: pip install 'gatewise[exchange]'") from error
    from . import writing

    return getattr(writing, name)
