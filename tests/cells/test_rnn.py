"""The plain recurrent networks are torch.nn.RNN, weights and all."""

import pytest
import torch
from table import assert_close, tolerance

from gatewise.nn import Recurrent

D, H, T, B = 3, 5, 6, 4
LENGTHS = torch.tensor([6, 2, 5, 1])

OPTIONS = {
    "plain": {},
    "stacked": {"num_layers": 2, "bidirectional": True},
    "no-bias": {"bias": False},
    "batch-first": {"batch_first": True, "bidirectional": True},
}


def pair(kind, dtype, options):
    """Ours and PyTorch's, from one seed."""
    torch.manual_seed(3)
    ours = Recurrent(f"rnn_{kind}", D, H, dtype=dtype, **options)
    torch.manual_seed(3)
    return ours, torch.nn.RNN(D, H, nonlinearity=kind, dtype=dtype, **options)


def differentiated(layer, x, hx):
    leaves = [x.clone().requires_grad_(), hx.clone().requires_grad_()]
    y, last = layer(*leaves)
    loss = (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum() + last.square().sum()
    return [y, last, *torch.autograd.grad(loss, [*leaves, *layer.parameters()])]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["native", "aten"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_outputs_gradients_and_weights(kind, options, dtype):
    ours, theirs = pair(kind, dtype, options)
    for name, weight in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight), name
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn((B, T, D) if ours.batch_first else (T, B, D), dtype=dtype)
    hx = torch.randn(ours.num_layers * (2 if ours.bidirectional else 1), B, H, dtype=dtype)
    for i, (got, want) in enumerate(zip(differentiated(ours, x, hx), differentiated(theirs, x, hx), strict=True)):
        assert_close(got, want, 4 * tolerance(dtype, T), f"result {i}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["native", "aten"])
@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_packed_sequences(kind, dtype):
    ours, theirs = pair(kind, dtype, {"bidirectional": True})
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.randn(T, B, D, dtype=dtype), LENGTHS, enforce_sorted=False)
    (got, got_h), (want, want_h) = ours(packed), theirs(packed)
    assert_close(got.data, want.data, tolerance(dtype, T), "y")
    assert_close(got_h, want_h, tolerance(dtype, T), "h")
