"""Networks of every cell, recorded and printed as C and JavaScript, against the runtime's layers."""

import subprocess

import numpy as np
import pytest
from export_examples import COMPILER, needs_compiler, needs_node, step_model, written

from gatewise import cells
from gatewise.errors import OptionError
from gatewise.export import c, html
from gatewise.export.proof import prove_c, prove_script
from gatewise.export.weights import ROUNDING
from gatewise.runtime.layers import network_of
from gatewise.runtime.network import Block, Linear, Recurrent
from gatewise.runtime.recorder import CARRIED, Recorder
from gatewise.runtime.recording import Examples, StepModel

SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")


def of(name, **options):
    cell = cells.find(name)
    return step_model(cell, num_layers=2, proj_size=8 if cell.projected else 0, **options)


@needs_compiler
@pytest.mark.parametrize("name", cells.NAMES)
def test_every_cell_in_c_is_the_runtime_s(name, tmp_path):
    assert prove_c(written(c.sources(of(name), "float32"), tmp_path)) <= 1e-5


@needs_node
@pytest.mark.parametrize("name", cells.NAMES)
def test_every_cell_in_a_page_is_the_runtime_s(name, tmp_path):
    texts = html.sources(of(name, rounded=ROUNDING["float16"]), "float16")
    assert prove_script(written(texts, tmp_path) / html.SCRIPT) <= 1e-5


@needs_compiler
@needs_node
def test_weights_of_one_byte_are_the_runtime_s_with_the_same_weights(tmp_path):
    model = of("lstm", rounded=ROUNDING["int8"])
    small, large = c.sources(model, "int8"), c.sources(model, "float32")
    assert len(small["model.c"]) < 0.6 * len(large["model.c"])
    assert prove_c(written(small, tmp_path)) <= 1e-5
    assert prove_script(written(html.sources(model, "int8"), tmp_path) / html.SCRIPT) <= 1e-5
    exact = of("lstm").examples.outputs["y"]
    assert 1e-4 < np.abs(model.examples.outputs["y"] - exact).max() < 0.1


@needs_compiler
@pytest.mark.parametrize("kind", c.KINDS)
@pytest.mark.parametrize(
    "name", ["lstm", *(pytest.param(n, marks=pytest.mark.slow) for n in ("layer_norm_lstm", "slstm", "mlstm"))]
)
def test_c_needs_no_library_and_is_clean_under_sanitizers(name, kind, tmp_path):
    written(c.sources(of(name, rounded=ROUNDING[kind]), kind), tmp_path)
    for level in ("-O2", "-O3"):
        compiled = [COMPILER, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", level]
        subprocess.run([*compiled, "-c", "model.c"], cwd=tmp_path, check=True)
        undefined = subprocess.run(["nm", "-u", "model.o"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert not undefined.stdout.split()
    subprocess.run([*compiled, *SANITIZED, "-o", "test", "model.c", "model_test.c"], cwd=tmp_path, check=True)
    assert (
        "largest difference"
        in subprocess.run(["./test"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    )


@needs_compiler
def test_a_wrong_number_is_noticed(tmp_path):
    model = of("gru")
    model.examples.outputs["y"][-1, 0] += 1e-3
    written(c.sources(model, "float32"), tmp_path)
    with pytest.raises(OptionError, match="does not run as it should"):
        prove_c(tmp_path)


@needs_compiler
def test_a_window_is_read_whole_in_both_directions(tmp_path):
    """Layers that remember nothing between calls: unrolled over the steps of a window."""
    T, D, H = 6, 3, 8
    rng = np.random.default_rng(0)
    part = Recurrent(cell=cells.find("gru"), input_size=D, hidden_size=H, num_layers=2, bidirectional=True)
    block = Block({"layers": part, "head": Linear(2 * H, 2)})
    weights = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in block.weights()}

    def last(net, x):
        y, _ = net.layers(x.swapaxes(0, 1))
        return net.head(y[-1])

    x = rng.normal(size=(4, T, D)).astype(np.float32)
    recorder = Recorder()
    y = last(recorder.net(block, weights), recorder.number("x", 1, T, D))
    model = StepModel(
        recording=recorder.recording(y=y),
        examples=Examples("by chance", {"x": x.reshape(4, -1)}, {"y": last(network_of(block, weights), x)}),
        title="Windows.",
        meaning=[],
        digest="",
    )
    assert prove_c(written(c.sources(model, "float32"), tmp_path)) <= 1e-5


def test_what_reads_ahead_is_refused_as_a_step():
    part = Recurrent(cell=cells.find("lstm"), input_size=2, hidden_size=3, bidirectional=True)
    weights = {name: np.zeros(shape, np.float32) for name, shape in part.weights()}
    recorder = Recorder()
    net = recorder.net(Block({"layers": part}), {f"layers.{name}": array for name, array in weights.items()})
    with pytest.raises(OptionError, match="both directions"):
        net.layers(recorder.number("x", 1, 1, 2), CARRIED)


def test_what_is_not_said_as_operations_is_refused_by_name():
    recorder = Recorder()
    with pytest.raises(OptionError, match="summed at"):
        recorder.ops.summed_at(recorder.number("x", 1, 1, 2), np.zeros(2, int), 2)


def test_text_of_a_stranger_cannot_leave_its_comment_or_script():
    model = of("gru")
    evil = '*/ int main(void){return 1;} /* " \\ ??/ </script><script>alert(1)</script>'
    model = StepModel(**{**vars(model), "title": evil, "digest": evil, "meaning": [evil]})
    header = c.sources(model, "float32")["model.h"]
    assert header.count("*/") == 3
    assert "??" not in header
    page = html.sources(model, "float16")["page.html"]
    assert page.count("</script>") == 2
    assert "alert(1)" in page
