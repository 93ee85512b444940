"""Images and their captions as batches."""

import numpy as np
import torch

from gatewise.data.paired.captions import from_arrays
from gatewise.tasks.caption.batches import ImageBatches
from gatewise.tasks.caption.examples import CaptionedBatches


def test_every_epoch_has_one_caption_of_each_image():
    data = from_arrays(np.zeros((7, 4, 4)))
    tokens = [[np.array([10 * i + k]) for k in range(i % 3)] for i in range(7)]  # none of the first, one of the next
    options = {"start": 90, "end": 91, "batch_size": 2, "seed": 3}
    batches = CaptionedBatches(data, tokens, **options)
    assert len(batches) == 2 + 1 - 1
    epochs = [[int(t) for place in range(2) for t in batches.at(2 * n + place)["targets"][0]] for n in range(6)]
    for seen in epochs:
        assert sorted(token // 10 for token in seen) == [1, 2, 4, 5]
    assert len({tuple(seen) for seen in epochs}) > 3
    assert len({token for seen in epochs for token in seen}) == 6
    again = ImageBatches(CaptionedBatches(data, tokens, **options))
    assert len(again) == len(batches)
    assert torch.equal(torch.from_numpy(batches.at(1)["targets"]), again.at(1)["targets"])
