"""One file per job: what it learns, its loss, metric and decoding."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .forecast import Forecaster as Forecaster
    from .generate import Generator as Generator

_HOME = {"Forecaster": "forecast", "Generator": "generate"}  # public name -> module it lives in
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
