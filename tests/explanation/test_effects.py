"""What gates and units are for: by holding them at their mean."""

import numpy as np
import pytest
import torch
from table import FAMILY

from gatewise import cells
from gatewise.errors import OptionError
from gatewise.explanation import Held, gate_effects, trace
from gatewise.nn import Recurrent
from gatewise.runtime import network
from gatewise.runtime.layers import network_of

T, B, D, H = 12, 6, 3, 8
X = np.random.default_rng(0).normal(size=(T, B, D)).astype(np.float32)
LENGTHS = np.array([12, 12, 5, 1, 9, 12])


def layers_of(cell, change=None, **options):
    torch.manual_seed(2)
    module = Recurrent(cell, D, H, **options)
    weights = {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}
    if change:
        change(weights)
    part = network.Recurrent(cell=cell, input_size=D, hidden_size=H, **options)
    parts = network.Block({"deep": network.Block({"layers": part})})
    return network_of(parts, {f"deep.layers.{name}": array for name, array in weights.items()})


def last(net):
    y, _ = net.deep.layers(X, lengths=LENGTHS)
    return y[LENGTHS - 1, np.arange(B)].sum(-1)


def still(*gates):
    """Weights of an LSTM by which these gates see neither x nor h."""

    def change(weights):
        for gate in gates:
            for kind in ("ih", "hh"):
                weights[f"weight_{kind}_l0"]["ifgo".index(gate) * H :][:H] = 0

    return change


def test_a_gate_that_never_moves_is_for_nothing():
    effects = gate_effects(layers_of(cells.find("lstm"), still("f", "o")), last)
    sizes = {effect.name: effect.size for effect in effects}
    assert sizes["f"] < 1e-6
    assert sizes["o"] < 1e-6
    assert [effect.name for effect in effects][:2] == sorted(("i", "g"), key=lambda name: -sizes[name])
    assert min(sizes["i"], sizes["g"]) > 1e-3
    assert effects[0].change.shape == (B,)


def test_the_gate_through_which_all_comes_matters_most():
    effects = gate_effects(layers_of(cells.find("lstm"), still("i", "f", "o")), last)
    assert (effects[0].name, effects[0].place) == ("g", "deep.layers")
    assert effects[0].size > 100 * effects[1].size


@pytest.mark.parametrize("cell", FAMILY, ids=lambda cell: cell.name)
def test_every_cell_has_effects(cell):
    effects = gate_effects(layers_of(cell, num_layers=2, **({"proj_size": 4} if cell.projected else {})), last)
    carried = {cell.names[node] for node in cell.after}
    assert {(effect.layer, effect.name) for effect in effects} == {
        (layer, name) for layer in range(2) for name in {*cell.names.values()} - carried
    }
    assert all(np.isfinite(effect.change).all() for effect in effects)


def test_a_held_unit_stands_still_and_the_others_do_not():
    net = layers_of(cells.find("gru"), bidirectional=True, num_layers=2)
    units, level = np.eye(H)[3], np.full(H, 0.125)
    _, before = trace(net, last)
    _, traces = trace(net, last, [Held("deep.layers", 0, True, "h", units, level)])
    held = traces[1].after[0]
    inside = np.arange(T)[:, None] < LENGTHS
    assert (held[inside][:, 3] == 0.125).all()
    assert (held[inside][:, 4] != before[1].after[0][inside][:, 4]).any()
    np.testing.assert_array_equal(traces[0].after[0], before[0].after[0])  # the other direction
    assert (traces[2].after[0] != before[2].after[0]).any()  # the layer above


def test_a_layer_that_is_not_there_is_named():
    held = Held("layers", 0, False, "f", np.ones(H), np.ones(H))
    with pytest.raises(OptionError, match="no layer 0 of 'layers' ran, of which f was to be held"):
        trace(layers_of(cells.find("lstm")), last, [held])
