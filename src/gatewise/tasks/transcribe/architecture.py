"""The network of `transcribe`, said once: recurrent layers over frames, and a score for each character and the blank at
each step. For images, a 2-D LSTM reads the pixels first.

T steps, B sequences, D features of a step, V symbols, the blank first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...algebra import Cell
from ...runtime.network import Block, ExactLinear, MaskDropout, MultiDimensionalLSTM, Stack
from .frames import Frames
from .sizing import Sizing


def architecture(
    *,
    cell: Cell,
    frames: Frames,
    symbols: int,
    sizes: Sizing,
    bidirectional: bool,
    recurrent_dropout: float = 0.0,
    zoneout: float = 0.0,
    weight_dropout: float = 0.0,
) -> Block:
    """What scores every character, and the blank, at each step.

    Args:
        cell: The recurrent cell.
        frames: How signals are read.
        symbols: Characters and the blank, V.
        sizes: Sizes, and the dropout probability of a value between layers or before the scores; one mask for all steps
            of a sequence (Gal & Ghahramani 2016).
        bidirectional: Whether the layers read in both directions.
        recurrent_dropout, zoneout, weight_dropout: Of the layers; see `Recurrent`.
    """
    width, image = frames.width, None
    if sizes.image_hidden_size:
        image, width = image_reader(frames.width // frames.stack, frames.stack, sizes.image_hidden_size)
    layers = Stack(
        cell=cell,
        input_size=width,
        hidden_size=sizes.hidden_size,
        num_layers=sizes.num_layers,
        bidirectional=bidirectional,
        dropout=sizes.dropout,
        variational=True,
        recurrent_dropout=recurrent_dropout,
        zoneout=zoneout,
        weight_dropout=weight_dropout,
    )
    return Block(
        {
            "image": image,
            "layers": layers,
            "dropout": MaskDropout(sizes.dropout, variational=True),
            "output": ExactLinear(sizes.hidden_size * layers.ways, symbols),
        }
    )


def image_reader(height: int, block: int, hidden_size: int) -> tuple[Block, int]:
    """A 2-D LSTM over the image of a line of text, whose columns are the steps; and the features that it makes of each.

    Its positions are square blocks of pixels; the features of all blocks above one another make one step.

    Args:
        height: Height of the images, in pixels.
        block: Side of a block, in pixels: as many columns as a step has.
        hidden_size: Units per direction.

    Source: Graves & Schmidhuber (2009), "Offline handwriting recognition with multidimensional recurrent neural
    networks", NIPS 21, with one level of the hierarchy and ordinary layers above it.
    """
    rows = -(-height // block)
    parts = {"reader": MultiDimensionalLSTM(block * block, hidden_size), "height": height, "block": block, "rows": rows}
    return Block(parts), rows * 4 * hidden_size


# The forward pass.


def forward(net: Any, batch: Mapping[str, Any]) -> tuple[Any, ...]:
    """Scores (T, B, V), of which those beyond a length mean nothing; then the last state of the layers, an array for
    each name that the cell carries.

    Args:
        net: The parts of `architecture`.
        batch: "x" (T, B, D) and "lengths" (B,), in the arrays of these parts; and, where the sequences go on, the last
            state of the steps before, as "state.0" and so on.
    """
    x, lengths = batch["x"], batch["lengths"]
    if net.image is not None:
        x = read_image(net.image, x, lengths)
    before = tuple(array for name, array in batch.items() if name.startswith("state."))
    y, state = net.layers(x, before or None, lengths=lengths)
    return net.output(net.dropout(y)), *(state if isinstance(state, tuple) else (state,))


def read_image(image: Any, x: Any, lengths: Any) -> Any:
    """(T, B, width) of columns (T, B, block * height) of images, by the parts of `image_reader`."""
    ops, rows, block = image.ops, image.rows, image.block
    T, B, _ = x.shape
    columns = x.reshape(T, B, block, image.height)
    beyond = ops.zeros((T, B, block, rows * block - image.height), x)
    squares = ops.concatenate([columns, beyond]).reshape(T, B, block, rows, block)
    blocks = ops.permute(squares, (1, 3, 0, 2, 4)).reshape(B, rows, T, block * block)
    y, _ = image.reader(blocks, ops.stack([ops.full_like(lengths, rows), lengths], 1))
    return ops.permute(y, (2, 0, 1, 3)).reshape(T, B, -1)  # of (B, rows, T, 4 * hidden_size)
