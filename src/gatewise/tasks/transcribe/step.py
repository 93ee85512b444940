"""A trained transcriber as what its network says of a step, for exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import OptionError
from ...runtime.recorder import CARRIED, SEQUENCE, Recorder
from ...runtime.recording import Examples, StepModel
from ..stepwise import Rounding, rounded_network
from .architecture import forward
from .frames import padded

if TYPE_CHECKING:
    from .estimator import Transcriber

_STEPS = 200  # of the examples
_LENGTHS = (60, 1, 2, 37)  # where they are whole sequences


def step_model(transcriber: Transcriber, digest: str, rounded: Rounding) -> StepModel:
    """The model as the scores of each symbol at a step, which CTC decoding makes a text of.

    Args:
        transcriber: As read from a file. It predicts with rounded weights from then on.
        digest: Of the file.
        rounded: What weights in fewer bytes make of a matrix.

    Raises:
        OptionError: It has no network, or one that reads pixels with a 2-D LSTM.
    """
    if transcriber.sizing_.image_hidden_size:
        raise OptionError("a 2-D LSTM reads its images (--image-hidden-size), which has no steps")
    recorder, frames, whole = Recorder(), transcriber.frames_, bool(transcriber.bidirectional)
    net = rounded_network(transcriber, rounded, recorder)
    x = recorder.number("x", 1, 1, frames.width)
    y, _ = net.layers(x, SEQUENCE if whole else CARRIED)
    scores = net.output(y)
    return StepModel(
        recording=recorder.recording(scores=scores),
        examples=_examples(transcriber, whole),
        title=f"A transcriber, cell {transcriber.find_cell().name}. What makes a text of its scores is not exported.",
        meaning=[
            f"x       {frames.width} numbers: {frames.stack} frames of {', '.join(frames.columns)} behind one another, "
            f"normalised by the {frames.normalisation}; means and deviations are in the document",
            f"scores  of the blank, and of each of {transcriber.characters_!r}; their softmax is CTC's",
        ],
        digest=digest,
        page={"kind": "watch", "names": []},
    )


def _examples(transcriber: Transcriber, whole: bool) -> Examples:
    """Steps by chance."""
    lengths = _LENGTHS if whole else (_STEPS,)
    rng, width = np.random.default_rng(0), transcriber.frames_.width
    steps = [rng.normal(size=(count, width)).astype(np.float32) for count in lengths]
    found = forward(transcriber._net, padded(steps))[0]
    scores = np.concatenate([found[:count, row] for row, count in enumerate(lengths)])
    return Examples("steps by chance", {"x": np.concatenate(steps)}, {"scores": scores}, lengths if whole else ())
