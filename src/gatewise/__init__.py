"""Gatewise: learn from sequences with the LSTM family."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .algebra import cell as cell
    from .nn import GRU as GRU
    from .nn import LSTM as LSTM

_HOME = {"GRU": "nn", "LSTM": "nn", "cell": "algebra"}  # public name -> folder it lives in
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
