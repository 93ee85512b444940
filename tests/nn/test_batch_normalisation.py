"""Batch normalisation of rows that several ranks have, which are threads here, against torch's own of all rows."""

import pytest
import torch
from ranks_in_threads import run_ranks
from torch import nn

from gatewise.nn.batch_normalisation import BatchNormalisation
from gatewise.ranks import Part, computing

ROWS = 5


def normalised(kind, rows, counts=True):
    """The layer after a step, what it gives of these rows, and the gradient that comes back to them."""
    draw = torch.Generator().manual_seed(1)
    layer, x, wanted = kind(3), *torch.randn(2, ROWS, 3, 4, 2, generator=draw)
    with torch.no_grad():
        layer.weight.normal_(generator=draw)
        layer.bias.normal_(generator=draw)
    own = (3 * x[rows] + 1).requires_grad_()
    y = layer(own)
    (float(counts) * (y - wanted[rows]).pow(3).sum()).backward()
    return layer, y.detach(), own.grad


@pytest.mark.parametrize("dealt", [[[0, 2], [1, 3, 4]], [[0, 1, 2, 3, 4], []], [[4], [0, 1], [2, 3]]])
def test_the_statistics_are_those_of_all_ranks(dealt):
    def one(rank):
        rows = torch.tensor(dealt[rank] or [0])
        with computing(Part(rows, ROWS, counts=bool(dealt[rank]))):
            return normalised(BatchNormalisation, rows, counts=bool(dealt[rank]))

    layer, y, gradient = normalised(nn.BatchNorm2d, torch.arange(ROWS))
    found = run_ranks(len(dealt), one)
    for rows, (own, of_rows, back) in zip(dealt, found, strict=True):
        for name, buffer in layer.named_buffers():
            assert torch.allclose(own.get_buffer(name), buffer), name
            assert torch.equal(own.get_buffer(name), found[0][0].get_buffer(name)), name
        if rows:
            assert torch.allclose(of_rows, y[rows], atol=1e-6)
        assert torch.allclose(back, gradient[rows] if rows else torch.zeros(()), rtol=1e-4, atol=1e-4)
    for name, weight in layer.named_parameters():
        assert torch.allclose(sum(own.get_parameter(name).grad for own, *_ in found), weight.grad, rtol=1e-4), name


def test_a_process_that_is_alone_has_the_bits_of_torch():
    rows = torch.arange(ROWS)
    _, *own = normalised(BatchNormalisation, rows)
    _, *torchs = normalised(nn.BatchNorm2d, rows)
    assert all(map(torch.equal, own, torchs))


def test_a_frozen_one_keeps_its_means():
    layer = BatchNormalisation(3)
    layer.frozen = True
    before = layer.running_mean.clone()
    with computing(Part(torch.arange(2), 4)):
        layer.train()(torch.randn(2, 3, 4, 4))
    assert torch.equal(layer.running_mean, before)
