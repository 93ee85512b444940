"""Gates and memories of layers over images, against the equations step by step in float64."""

import numpy as np
import pytest
from explanation.test_questions import asked, opened_with

import gatewise
from gatewise.explanation.grids import CORNERS, trace_grids
from gatewise.runtime import network
from gatewise.runtime.layers import network_of

H, D = 3, 2


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def step_by_step(image, weights, flip_rows, flip_columns):
    """Every named value at each position, {name: (rows, columns, H)}, by the paper's equations."""
    W, U, U_up, b = (np.float64(one) for one in weights)
    own = image[::-1] if flip_rows else image
    own = own[:, ::-1] if flip_columns else own
    R, C, _ = own.shape
    found = {name: np.zeros((R, C, H)) for name in ("i", "f", "f_up", "g", "o", "c", "h")}
    for r in range(R):
        for c in range(C):
            h, before = (found[name][r, c - 1] if c else np.zeros(H) for name in ("h", "c"))
            h_up, above = (found[name][r - 1, c] if r else np.zeros(H) for name in ("h", "c"))
            sums = np.split(W @ own[r, c] + U @ h + U_up @ h_up + b, 5)
            i, f, f_up, o = (sigmoid(sums[k]) for k in (0, 1, 2, 4))
            g = np.tanh(sums[3])
            c_now = f * before + f_up * above + i * g
            now = {"i": i, "f": f, "f_up": f_up, "g": g, "o": o, "c": c_now, "h": o * np.tanh(c_now)}
            for name, value in now.items():
                found[name][r, c] = value
    turned = {}
    for name, value in found.items():
        value = value[::-1] if flip_rows else value
        turned[name] = value[:, ::-1] if flip_columns else value
    return turned


@pytest.mark.parametrize("corner", CORNERS)
def test_every_gate_at_every_position(corner):
    random = np.random.default_rng(0)
    block = network.Block({"reader": network.MultiDimensionalLSTM(D, H)})
    net = network_of(block, {name: random.normal(size=shape).astype(np.float32) for name, shape in block.weights()})
    images, sizes = random.normal(size=(2, 4, 6, D)).astype(np.float32), np.array([[4, 6], [2, 3]])
    (y, _), traces = trace_grids(net, lambda net: net.reader(images, sizes))
    np.testing.assert_array_equal(y, net.reader(images, sizes)[0])
    [one] = [one for one in traces if one.corner == corner]
    assert one.place == "reader"
    place = CORNERS.index(corner)
    for row, (height, width) in enumerate(sizes):
        inside = images[row, :height, :width].astype(float)
        wanted = step_by_step(inside, net.reader.weights[place], "bottom" in corner, "right" in corner)
        for name, value in wanted.items():
            got = one.values[name][row]
            np.testing.assert_allclose(got[:height, :width], value, atol=2e-6, err_msg=name)
            assert not got[height:].any()
            assert not got[:, width:].any()
    np.testing.assert_array_equal(one.values["h"], y[..., place * H : (place + 1) * H])


def test_a_report_of_a_line_of_text_shows_them(tmp_path):
    model, data = opened_with("transcribe_lines", tmp_path, "predict")
    report = gatewise.explain(model, data)
    steps = len(report.inputs[0].labels)
    layers = {one.layer for one in report.grids}
    assert layers == {f"image reader, from the {corner}" for corner in CORNERS}
    assert {one.name for one in report.grids} == {"i", "f", "f_up", "g", "o", "c", "h"}
    assert {one.name for one in report.grids if one.gate} == {"i", "f", "f_up", "o"}
    for one in report.grids:
        assert one.grid[1] == steps
        assert one.values.shape == (one.grid[0] * steps, len(one.units))


def test_without_an_image_the_report_says_so(tmp_path):
    found = asked("transcribe_steps", tmp_path)
    assert trace_grids(found.network, lambda net: None)[1] == []
