"""Gatewise: learn from sequences with the LSTM family."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import extras_named

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .algebra import cell as cell
    from .algebra import exp as exp
    from .algebra import log as log
    from .algebra import maximum as maximum
    from .algebra import minimum as minimum
    from .algebra import relu as relu
    from .algebra import sigmoid as sigmoid
    from .algebra import softplus as softplus
    from .algebra import tanh as tanh
    from .explanation import explain as explain
    from .interop import import_model as import_model
    from .nn import GRU as GRU
    from .nn import LSTM as LSTM
    from .tasks import Captioner as Captioner
    from .tasks import Classifier as Classifier
    from .tasks import Detector as Detector
    from .tasks import Forecaster as Forecaster
    from .tasks import Generator as Generator
    from .tasks import Sequential as Sequential
    from .tasks import Tagger as Tagger
    from .tasks import Tracer as Tracer
    from .tasks import Transcriber as Transcriber
    from .tasks import Translator as Translator
    from .tasks import Writer as Writer
    from .tasks import compress as compress
    from .tasks import load as load
    from .tasks import score as score
    from .tuning import tune as tune

# Public name -> folder it lives in. Nothing is imported before it is asked for: torch alone costs over a second.
_HOME = {
    "Captioner": "tasks",
    "Classifier": "tasks",
    "Detector": "tasks",
    "Forecaster": "tasks",
    "GRU": "nn",
    "Generator": "tasks",
    "LSTM": "nn",
    "Sequential": "tasks",
    "Tagger": "tasks",
    "Tracer": "tasks",
    "Transcriber": "tasks",
    "Translator": "tasks",
    "Writer": "tasks",
    "compress": "tasks",
    "explain": "explanation",
    "import_model": "interop",
    "load": "tasks",
    "score": "tasks",
    "tune": "tuning",
    **dict.fromkeys(("cell", "exp", "log", "maximum", "minimum", "relu", "sigmoid", "softplus", "tanh"), "algebra"),
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with extras_named():
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
