"""The networks of `classify`: padding and pooling."""

import pytest
import torch
from classify_examples import mixed, rows_of

from gatewise import cells
from gatewise.tasks.classify.architecture import POOLING, Shape, architecture
from gatewise.tasks.classify.network import Ensemble
from gatewise.tasks.classify.statistics import learn_inputs


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_padding_never_reaches_a_result(pooling, bidirectional):
    data = mixed(9)
    inputs = learn_inputs(data, rows_of(data), ["label"])
    torch.manual_seed(0)
    shape = Shape(
        cell=cells.find("lstm"),
        embedding_size=8,
        hidden_size=5,
        num_layers=2,
        bidirectional=bidirectional,
        pooling=(pooling,),
    )
    model = Ensemble(architecture(inputs, shape, outputs=3, kind="number", members=1)).eval()
    together = model(tensors(inputs.encode(data)))
    alone = torch.cat([model(tensors(inputs.encode(one))) for one in data])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_pooling_by_hand():
    data = mixed(3)
    inputs = learn_inputs(data, rows_of(data), ["label"])
    shape = Shape(
        cell=cells.find("gru"),
        embedding_size=8,
        hidden_size=1,
        num_layers=1,
        bidirectional=True,
        pooling=("mean", "max", "last"),
    )
    [member] = Ensemble(architecture(inputs, shape, outputs=2, kind="number", members=1)).members
    y = torch.tensor([[[1.0, 5.0]], [[3.0, -1.0]], [[0.0, 0.0]]])  # two steps, and one of padding
    lengths = torch.tensor([2])
    assert POOLING["mean"](member, y, lengths).tolist() == [[2.0, 2.0]]
    assert POOLING["max"](member, y - 4, lengths).tolist() == [[-1.0, 1.0]]
    assert POOLING["last"](member, y, lengths).tolist() == [[3.0, 5.0]]


def tensors(arrays):
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
