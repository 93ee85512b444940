"""Layers under torch's machinery: compilation, export, mixed precision, functional calls."""

import warnings

import pytest
import torch
from table import assert_close, three_stages, tolerance
from torch._dynamo.testing import CompileCounterWithBackend

from gatewise.nn import GRU, LSTM

D, H, B = 3, 5, 4
CLOSE = tolerance(torch.float32, 8)

LAYERS = {
    "lstm": lambda: LSTM(D, H, num_layers=2, bidirectional=True),
    "gru": lambda: GRU(D, H, batch_first=True),
    "projected": lambda: LSTM(D, H, proj_size=2),
    "homemade": lambda: LSTM(D, H, cell=three_stages),
}
each_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)

# torch's own, from inside its compiler.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
]


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def an_input(layer, steps, batch=B):
    x = torch.randn(steps, batch, D, generator=torch.Generator().manual_seed(steps))
    return x.transpose(0, 1) if layer.batch_first else x


def flat(result):
    y, state, *more = result
    return [y, *(state if isinstance(state, tuple) else [state]), *more]


def differentiated(layer, call, x, **options):
    layer.zero_grad()
    x = x.detach().clone().requires_grad_()
    results = flat(call(x, **options))
    sum(r.square().sum() for r in results).backward()
    return [*results, x.grad, *(p.grad for p in layer.parameters())]


def same(got, want):
    for number, (g, w) in enumerate(zip(got, want, strict=True)):
        assert_close(g, w, CLOSE, f"result {number}")


def options_for(way, layer, steps, batch=B):
    options = {}
    if way in ("lengths", "both"):
        options["lengths"] = torch.arange(batch) % (steps + 1)
    if way in ("resets", "both"):
        shape = (batch, steps) if layer.batch_first else (steps, batch)
        options["resets"] = torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.3
    return options


@pytest.mark.parametrize("way", ["plain", "lengths", "resets", "both"])
@each_layer
def test_compiled_whole_and_once_for_all_lengths(make, way):
    torch.manual_seed(1)
    layer = make()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, backend=counter, fullgraph=True, dynamic=True)
    frames = []
    for steps, batch in ((5, 4), (7, 4), (3, 6), (12, 2)):
        x, options = an_input(layer, steps, batch), options_for(way, layer, steps, batch)
        want = differentiated(layer, layer, x, **options)
        same(differentiated(layer, compiled, x, **options), want)
        frames.append(counter.frame_count)
    assert frames[0] == frames[-1]  # not always 1: for a float such as `dropout`, dynamo starts over once by itself


def test_compiled_with_a_state_and_cell_states():
    layer = LAYERS["lstm"]()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    for steps in (4, 6):
        x = an_input(layer, steps)
        state = tuple(torch.randn(4, B, H) for _ in range(2))
        same(
            flat(compiled(x, state, return_cell_states=True)),
            flat(layer(x, state, return_cell_states=True)),
        )


def test_compiled_for_a_single_sequence_and_for_lists_of_lengths():
    layer = LAYERS["lstm"]()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x = an_input(layer, 5)
    same(flat(compiled(x[:, 0])), flat(layer(x[:, 0])))
    same(flat(compiled(x, lengths=[5, 2, 0, 1])), flat(layer(x, lengths=[5, 2, 0, 1])))


def test_compiled_without_gradients():
    layer = LAYERS["lstm"]()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        same(flat(compiled(an_input(layer, 5))), flat(layer(an_input(layer, 5))))


@pytest.mark.slow
@each_layer
def test_compiled_by_inductor(make):
    layer = make()
    compiled = torch.compile(layer, fullgraph=True, dynamic=True)
    for steps in (5, 8):
        x, options = an_input(layer, steps), options_for("both", layer, steps)
        same(differentiated(layer, compiled, x, **options), differentiated(layer, layer, x, **options))


def test_compiled_as_part_of_a_model():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = LAYERS["lstm"]()
            self.head = torch.nn.Linear(2 * H, 2)

        def forward(self, x, lengths):
            return self.head(self.layer(x * 2, lengths=lengths)[0]).log_softmax(-1), ()

    model = Model()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, backend=counter, fullgraph=True, dynamic=True)
    frames = []
    for steps in (5, 9):
        x, lengths = an_input(model.layer, steps), torch.tensor([1, 4, 0, 2])
        want = differentiated(model, model, x, lengths=lengths)
        same(differentiated(model, compiled, x, lengths=lengths), want)
        frames.append(counter.frame_count)
    assert frames[0] == frames[-1]


class Wrapped(torch.nn.Module):
    """Export has positional inputs only."""

    def __init__(self, layer, names):
        super().__init__()
        self.layer, self.names = layer, names

    def forward(self, x, *more):
        return self.layer(x, **dict(zip(self.names, more, strict=True)))


@pytest.mark.parametrize("strict", [False, True], ids=["traced", "strict"])
@pytest.mark.parametrize("way", ["plain", "both"])
@each_layer
def test_exported_with_free_batch_and_time(make, way, strict, tmp_path):
    layer = make().eval()
    options = options_for(way, layer, 5)
    wrapped = Wrapped(layer, list(options))
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")
    first = {0: batch, 1: time} if layer.batch_first else {0: time, 1: batch}
    shapes = {"lengths": {0: batch}, "resets": first}
    exported = torch.export.export(
        wrapped,
        (an_input(layer, 5), *options.values()),
        dynamic_shapes=(first, *([tuple(shapes[name] for name in options)] if options else [])),
        strict=strict,
    )
    path = tmp_path / "layer.pt2"
    torch.export.save(exported, path)
    loaded = torch.export.load(path).module()
    for steps, rows in ((1, 1), (1, 3), (5, 4), (11, 1), (8, 6)):
        x, options = an_input(layer, steps, rows), options_for(way, layer, steps, rows)
        same(flat(loaded(x, *options.values())), flat(layer(x, **options)))


def test_an_exported_layer_is_a_handful_of_nodes():
    layer = LAYERS["lstm"]().eval()
    exported = torch.export.export(layer, (an_input(layer, 50),))
    called = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert sum(name.startswith("gatewise.recurrence") for name in called) == 4
    assert len(called) < 80


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_autocast_has_the_dtypes_of_torch(kind):
    """But for the GRU's results: torch's autocast forgets that layer on a CPU, and leaves them in float32."""
    if kind == "LSTM" and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        pytest.skip("torch.nn.LSTM has no bfloat16 on a CPU without AVX-512")
    build = {"LSTM": (LSTM, torch.nn.LSTM), "GRU": (GRU, torch.nn.GRU)}[kind]
    layers = []
    for make in build:
        torch.manual_seed(3)
        layers.append(make(D, H, num_layers=2, bidirectional=True))
    results = []
    for layer in layers:
        x = an_input(layers[0], 6).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = flat(layer(x))
        sum(o.float().square().sum() for o in outputs).backward()
        results.append([*outputs, x.grad, *(p.grad for p in layer.parameters())])
    for got, want in zip(*results, strict=True):
        assert got.dtype == want.dtype or (kind == "GRU" and got.dtype == torch.bfloat16)
        assert_close(got.float(), want.float(), tolerance(torch.bfloat16, 6), kind)
    assert results[0][0].dtype == torch.bfloat16
    assert all(g.dtype == torch.float32 for g in results[0][-16:])


@pytest.mark.parametrize("way", ["lengths", "resets", "both"])
@each_layer
def test_autocast_with_everything(make, way):
    layer = make()
    x, options = an_input(layer, 6), options_for(way, layer, 6)
    want = differentiated(layer, layer, x, **options)
    with torch.autocast("cpu", torch.bfloat16):
        got = differentiated(layer, layer, x, **options)
    assert got[0].dtype == torch.bfloat16
    for number, (g, w) in enumerate(zip(got, want, strict=True)):
        assert_close(g.float(), w.float(), 4 * tolerance(torch.bfloat16, 6), f"result {number}")


def test_autocast_leaves_float64_alone():
    layer = LAYERS["lstm"]().double()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(an_input(layer, 4).double())[0].dtype == torch.float64


def test_autocast_inside_compile():
    layer = LAYERS["lstm"]()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16):
        got, want = compiled(an_input(layer, 5))[0], layer(an_input(layer, 5))[0]
    assert got.dtype == want.dtype == torch.bfloat16
    assert_close(got.float(), want.float(), tolerance(torch.bfloat16, 5), "y")


@each_layer
def test_functional_call(make):
    layer, other = make(), make()
    x = an_input(layer, 5)
    results = torch.func.functional_call(layer, dict(other.named_parameters()), (x,))
    same(flat(results), flat(other(x)))


@pytest.mark.filterwarnings("ignore:There is a performance drop because we have not yet implemented the batching rule")
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_gradients_of_each_example_by_torch_func(kind):
    layer = {"LSTM": LSTM, "GRU": GRU}[kind](D, H)
    weights = dict(layer.named_parameters())
    x = torch.randn(6, 4, 1, D)

    def loss(weights, x):
        return torch.func.functional_call(layer, weights, (x,))[0].square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    for example, part in enumerate(x):
        want = torch.autograd.grad(loss(weights, part), list(weights.values()))
        for (name, got), w in zip(found.items(), want, strict=True):
            assert_close(got[example].detach(), w, CLOSE, name)


def test_two_layers_may_share_their_weights():
    one, two = LSTM(H, H), LSTM(H, H)
    two.weight_ih_l0, two.weight_hh_l0 = one.weight_ih_l0, one.weight_hh_l0
    x = torch.randn(4, B, H)
    two(one(x)[0])[0].sum().backward()
    assert torch.isfinite(one.weight_ih_l0.grad).all()
    model = torch.nn.ModuleList([one, two])
    assert len(list(model.parameters())) == 6


def test_nothing_warns_at_the_start_of_a_projected_lstm():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LSTM(D, H, proj_size=2)(an_input(LAYERS["lstm"](), 3))
    assert torch.backends.mkldnn.enabled  # and oneDNN is back on for all else
