"""The contract of test_contract.py through the layers of gatewise.nn: same bits, whatever is beside a row."""

import pytest
import torch
from native_kit import TEAMS, same, threads
from table import generator

from gatewise import nn

LAYERS = {
    "lstm": lambda: nn.LSTM(20, 40, num_layers=2),
    "gru": lambda: nn.GRU(20, 40, num_layers=2),
    "lstmp": lambda: nn.LSTM(20, 40, num_layers=2, proj_size=9),
    "without bias": lambda: nn.LSTM(20, 40, bias=False),
    "batch first": lambda: nn.LSTM(20, 40, batch_first=True),
}


def parts_of(result):
    y, state = result
    return [y], [state] if isinstance(state, torch.Tensor) else list(state)


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_layers_keep_the_contract_too(name):
    """One row alone, one step at a time, on two threads, with rubbish in the padding."""
    torch.manual_seed(3)
    layer = LAYERS[name]()
    time = 1 if layer.batch_first else 0
    x = torch.randn(7, 17, 20, generator=generator("layers", name)).transpose(0, time).contiguous()
    y, state = layer(x)
    for b in (0, 16):
        alone = layer(x.narrow(1 - time, b, 1))
        want = [s[:, b : b + 1] for s in ([state] if isinstance(state, torch.Tensor) else state)]
        same(parts_of(alone), ([y.narrow(1 - time, b, 1)], want))
    outputs, now = [], None
    for t in range(7):
        output, now = layer(x.narrow(time, t, 1), now)
        outputs.append(output)
    same(parts_of((torch.cat(outputs, time), now)), parts_of((y, state)))
    for team in TEAMS:
        with threads(*team):
            same(parts_of(layer(x)), parts_of((y, state)))
    lengths = torch.arange(17) % 8
    clean = layer(x, lengths=lengths)
    padding = (torch.arange(7)[:, None] >= lengths).transpose(0, time)
    same(parts_of(layer(x.masked_fill(padding[..., None], float("nan")), lengths=lengths)), parts_of(clean))


@pytest.mark.parametrize("name", ["lstm", "gru"])
@torch.no_grad()
def test_both_directions_of_a_row_alone(name):
    torch.manual_seed(3)
    layer = {"lstm": nn.LSTM, "gru": nn.GRU}[name](20, 40, num_layers=2, bidirectional=True)
    x, lengths = torch.randn(7, 17, 20, generator=generator("both", name)), torch.arange(17) % 8
    y, _ = layer(x, lengths=lengths)
    for b in (1, 7, 14):
        steps = int(lengths[b])
        alone, _ = layer(x[:steps, b])
        same(([alone], []), ([y[:steps, b]], []))
    for team in TEAMS:
        with threads(*team):
            same(([layer(x, lengths=lengths)[0]], []), ([y], []))


@pytest.mark.parametrize("team", TEAMS, ids=str)
def test_gradients_of_both_directions_are_the_same_from_run_to_run(team):
    torch.manual_seed(3)
    layer = nn.LSTM(20, 40, num_layers=2, bidirectional=True)
    x = torch.randn(7, 17, 20, generator=generator("both"))
    found = []
    with threads(*team):
        for _ in range(3):
            layer.zero_grad()
            layer(x)[0].square().sum().backward()
            found.append([p.grad.clone() for p in layer.parameters()])
    for again in found[1:]:
        same((again, []), (found[0], []))
