"""Metrics of predictions, each with its source; numpy only (BLEU and chrF: sacrebleu)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classification import calibration_error as calibration_error
    from .classification import class_scores as class_scores
    from .classification import confusion_matrix as confusion_matrix
    from .classification import log_loss as log_loss
    from .classification import macro_f1 as macro_f1
    from .classification import multilabel_scores as multilabel_scores
    from .classification import regression_scores as regression_scores
    from .classification import roc_auc as roc_auc
    from .detection import average_precision as average_precision
    from .detection import pointwise_scores as pointwise_scores
    from .detection import range_scores as range_scores
    from .error_rates import edit_distance as edit_distance
    from .error_rates import transcription_scores as transcription_scores
    from .forecasting import Forecast as Forecast
    from .forecasting import ForecastScores as ForecastScores
    from .forecasting import crps_of_quantiles as crps_of_quantiles
    from .forecasting import crps_of_samples as crps_of_samples
    from .forecasting import pinball_loss as pinball_loss
    from .forecasting import seasonal_error as seasonal_error
    from .forecasting import smape as smape
    from .nab import nab_score as nab_score
    from .tagging import label_scores as label_scores
    from .tagging import number_scores as number_scores
    from .text import bleu as bleu
    from .text import chrf as chrf
    from .text import text_scores as text_scores

# Module -> its public names. Imported on demand, so that one metric does not load the others.
_NAMES = {
    "classification": (
        *("calibration_error", "class_scores", "confusion_matrix", "log_loss", "macro_f1", "multilabel_scores"),
        *("regression_scores", "roc_auc"),
    ),
    "detection": ("average_precision", "pointwise_scores", "range_scores"),
    "error_rates": ("edit_distance", "transcription_scores"),
    "forecasting": (
        *("Forecast", "ForecastScores", "crps_of_quantiles", "crps_of_samples", "pinball_loss", "seasonal_error"),
        "smape",
    ),
    "nab": ("nab_score",),
    "tagging": ("label_scores", "number_scores"),
    "text": ("bleu", "chrf", "text_scores"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
