"""The networks of `detect`, said once: their parts, and what these compute.

One predicts each step from those before it, one is an autoencoder of windows. T steps, B series or windows, D
channels, H units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...algebra import Cell
from ...runtime.network import Block, Linear, Recurrent

FREEDOM = 4.0  # degrees of freedom of the Student distribution: tails heavy enough for sensors, a variance still finite
LEAST_SCALE = 1e-3  # of a prediction, in standard deviations of the channel


def architecture(
    *, method: str, cell: Cell, channels: int, hidden_size: int, num_layers: int, **regularisation: Any
) -> Block:
    """A network that predicts steps, one that reconstructs windows, or both; each gives a location and a scale for
    every value.

    Args:
        method: "prediction", "reconstruction" or "both".
        cell: The recurrent cell.
        channels: Values per step, D.
        hidden_size: Units per layer, H.
        num_layers: Recurrent layers of each network.
        regularisation: Dropout and the like of the layers; see `Recurrent`.
    """

    def layers(width: int) -> Recurrent:
        return Recurrent(cell=cell, input_size=width, hidden_size=hidden_size, num_layers=num_layers, **regularisation)

    head = Linear(hidden_size, 2 * channels)
    code = max(1, hidden_size // 4)
    predictor = Block({"layers": layers(2 * channels), "head": head})
    autoencoder = Block(
        {"encoder": layers(2 * channels), "code": Linear(hidden_size, code), "decoder": layers(code), "head": head}
    )
    return Block(
        {
            "predictor": predictor if method != "reconstruction" else None,
            "autoencoder": autoencoder if method != "prediction" else None,
        }
    )


# The forward pass, less the output layers, whose sums `ErrorReader` takes row by row.


def features(net: Any, batch: Mapping[str, Any]) -> Any:
    """(T, B, 2 D) what the layers read: values, with outliers squashed, and which of them are observed.

    Args:
        net: The parts of `architecture`.
        batch: "values", standardised, a missing one as the last observed one; and "observed", 1 or 0; (T, B, D) each.
    """
    return net.ops.concatenate([net.ops.arcsinh(batch["values"]), batch["observed"]])


def predict_steps(net: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
    """Output (T, B, H) of the step predictor's layers after each step, and their last state.

    The step is predicted as a change from that step's own value. Where it is missing, the last observed one counts
    instead, or 0, the mean.

    Args:
        batch: As of `features`, and the "state" before, or None.
    """
    found: tuple[Any, Any] = net.predictor.layers(features(net, batch), batch["state"])
    return found


def reconstruct(net: Any, batch: Mapping[str, Any]) -> Any:
    """Output (T, B, H) of the autoencoder's decoder, the last step first.

    Source: Malhotra et al. (2016), "LSTM-based encoder-decoder for multi-sensor anomaly detection", arXiv:1607.00148.

    Args:
        batch: As of `features`, of windows.
    """
    return _decoded(net, batch, len(batch["values"]))


def reconstruct_newest(net: Any, batch: Mapping[str, Any]) -> Any:
    """(B, H) the same of the last step of each window alone."""
    return _decoded(net, batch, 1)[0]


def _decoded(net: Any, batch: Mapping[str, Any], steps: int) -> Any:
    """From a short code of each window, which the decoder reads once for each step."""
    part = net.autoencoder
    y, _ = part.encoder(features(net, batch))
    code = net.ops.tanh(part.code(y[-1]))
    y, _ = part.decoder(net.ops.broadcast_to(code, (steps, *code.shape)))
    return y
