"""What a tagger learns from side by side, and how its data are split."""

import numpy as np
import torch
from tag_examples import series, tagged

from gatewise.data.readers.arrays import from_arrays
from gatewise.tasks.tag.batches import Pieces
from gatewise.tasks.tag.features import Features
from gatewise.tasks.tag.split import split_sequences


def test_few_sequences_are_split_by_time():
    x, labels, _ = series(2, 3000)
    data = from_arrays(x, labels, per_step=True)
    parts = split_sequences(data, (0.6, 0.15, 0.25), 0)
    assert [len(part) for part in parts.values()] == [2, 2, 2]
    assert [part.lengths.tolist() for part in parts.values()] == [[1800] * 2, [450] * 2, [750] * 2]
    for place, row in enumerate(x):
        back = np.concatenate([part.take([place]).steps["channels"].values for part in parts.values()])
        assert np.array_equal(back, row)


def test_many_sequences_are_shuffled_and_stay_whole():
    data = tagged(600)
    parts = split_sequences(data, (0.8, 0.1, 0.1), 4)
    assert [len(part) for part in parts.values()] == [480, 60, 60]
    assert sum(int(part.offsets[-1]) for part in parts.values()) == int(data.offsets[-1])
    again = split_sequences(data, (0.8, 0.1, 0.1), 4)
    assert all(again[name].fingerprint() == part.fingerprint() for name, part in parts.items())


def test_pieces_of_long_sequences():
    data = from_arrays([np.arange(100.0)[:, None], np.arange(7.0)[:, None]])
    features = Features.learn(data, ["channels"], ahead=True)
    encoded, targets = features.encode(data), np.arange(107)
    pieces = Pieces(encoded, targets, batch_size=2, chunk_length=16, seed=1)
    assert len(pieces) == 4  # 7 of the long one, 1 of the short one
    seen = [pieces.at(step) for step in range(4)]
    assert sorted(int(n) for batch in seen for n in batch["lengths"]) == [7, *[16] * 7]
    for batch in seen:
        for row, length in enumerate(batch["lengths"]):
            own = batch["targets"][:, row]
            assert torch.equal(own[:length].diff(), torch.ones(length - 1, dtype=torch.int64))
            assert (own[length:] == -1).all()
    assert not all(torch.equal(pieces.at(4 + k)["targets"], seen[k]["targets"]) for k in range(4))
    assert torch.equal(pieces.at(1)["targets"], seen[1]["targets"])
