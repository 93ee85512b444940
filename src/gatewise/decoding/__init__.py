"""Decoding: choosing the tokens that a model's scores stand for. numpy only, so that serving can use it too."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .beam_search import Hypothesis as Hypothesis
    from .beam_search import Step as Step
    from .beam_search import decode as decode
    from .options import CTCDecoding as CTCDecoding
    from .options import Decoding as Decoding
    from .sampling import Sampler as Sampler
    from .stop import StopAt as StopAt

# Public name -> module it lives in. Imported on demand, so that the options alone cost no numpy.
_HOME = {
    "CTCDecoding": "options",
    "Decoding": "options",
    "Hypothesis": "beam_search",
    "Sampler": "sampling",
    "Step": "beam_search",
    "StopAt": "stop",
    "decode": "beam_search",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
