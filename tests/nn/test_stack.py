import math

import pytest
import torch

from gatewise import cells
from gatewise.nn.stack import Stack, dropout_mask, forget_gate


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9, 0.999])
def test_a_dropout_mask_keeps_the_mean_and_drops_each_place_alike(rate):
    torch.manual_seed(0)
    mask = dropout_mask(torch.empty(1001, 1000), rate)
    kept = min(255, round(256 * rate))
    assert mask.unique().tolist() == pytest.approx([0, 256 / (256 - kept)])
    spread = math.sqrt(kept / 256 * (1 - kept / 256))
    # Per column, too: eight neighbours share one random number, and every byte of it must be as random as the others.
    assert float((mask == 0).float().mean()) == pytest.approx(kept / 256, abs=5 * spread / 1000)
    assert (mask == 0).float().mean(0).sub(kept / 256).abs().max() < 6 * spread / math.sqrt(1001)
    pairs = ((mask[:, :-1] == 0) & (mask[:, 1:] == 0)).float().mean()
    assert float(pairs) == pytest.approx((kept / 256) ** 2, abs=0.003)


PLACES = {"lstm": 1, "peephole": 1, "no_input_gate": 0, "slstm": 1, "coupled": None, "gru": None, "mlstm": None}


@pytest.mark.parametrize(("name", "place"), PLACES.items())
def test_the_place_of_a_forget_gate(name, place):
    assert forget_gate(cells.find(name)) == place


def test_a_model_without_memory_opens_its_forget_gates():
    with torch.device("meta"):  # as a file is opened: the place must be found where there are no values
        layers = Stack("lstm", 3, 4)
        layers.open_forget_gates()
    assert layers.bias_ih_l0.is_meta
