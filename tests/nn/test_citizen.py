"""Layers as good citizens of torch: what PyTorch does with modules, on every engine and with cells of every kind.

`test_capture.py` and `test_drop_in.py` do so in depth for LSTM and GRU; here are cells that take other ways: peepholes,
means, heads, matrix memories, several stages, a scan, and one of a user.
"""

import copy
import os
import pickle
import warnings
from datetime import timedelta

import pytest
import torch
from table import assert_close, three_stages, tolerance
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacrev, jvp, stack_module_state, vmap
from torch.nn.utils import parametrizations, parametrize, prune

from gatewise.nn import ConvLSTM, MultiDimensionalLSTM, Recurrent

T, B, D, H = 4, 3, 3, 4
NAMES = ("lstm", "gru", "peephole", "layer_norm_lstm", "slstm", "mlstm", "mogrifier", "mingru")
CELLS = {**{name: name for name in NAMES}, "homemade": three_stages}
REGULARISED = {"recurrent_dropout": 0.3, "zoneout": 0.2, "weight_dropout": 0.25}

each_cell = pytest.mark.parametrize("cell", CELLS)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)  # on a CPU: native, and not

# torch's own, from inside its compiler.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
]


@pytest.fixture
def compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def build(cell, dtype=torch.float32, **options):
    torch.manual_seed(3)
    return Recurrent(CELLS[cell], D, H, dtype=dtype, **options)


def an_input(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*(shape or (T, B)), D, generator=generator, dtype=torch.float64).to(dtype)


def flat(result):
    y, state, *more = result
    return [y, *(state if isinstance(state, tuple) else [state]), *more]


def loss_of(layer):
    """Of weights and an input; every result takes part."""

    def loss(weights, x, **options):
        return sum(value.square().sum() for value in flat(functional_call(layer, weights, (x,), options)))

    return loss


def differentiated(layer, call, x):
    torch.manual_seed(5)  # for what regularised layers draw
    layer.zero_grad()
    results = flat(call(x))
    sum(value.square().sum() for value in results).backward()
    return [*results, *(p.grad for p in layer.parameters())]


def same(got, want, atol=None):
    for number, (g, w) in enumerate(zip(got, want, strict=True)):
        assert_close(g, w, atol or 4 * tolerance(w.dtype, T), f"result {number}")


# Graph capture


@pytest.mark.parametrize("dynamic", [True, None], ids=["dynamic", "automatic"])
@each_cell
def test_compiled_whole_for_all_lengths_and_batches(cell, dynamic, compiler):
    layer, counter = build(cell), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, backend=counter, fullgraph=True, dynamic=dynamic)
    frames = []
    for steps, rows in ((5, 4), (7, 4), (3, 6), (12, 2), (9, 7)):
        x = an_input(steps, rows)
        same(differentiated(layer, compiled, x), differentiated(layer, layer, x))
        frames.append(counter.frame_count)
    # By itself torch sees that T varies at its second length, and that B does at the second batch.
    assert frames == ([1, 1, 1, 1, 1] if dynamic else [1, 2, 3, 3, 3])


@pytest.mark.parametrize("cell", ["lstm", "mlstm", "mingru"])
def test_compiled_in_float64(cell, compiler):
    layer = build(cell, torch.float64)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    for steps in (5, 8):
        x = an_input(steps, B, dtype=torch.float64)
        same(differentiated(layer, compiled, x), differentiated(layer, layer, x))


@pytest.mark.parametrize("cell", [pytest.param("slstm", marks=pytest.mark.slow), "homemade"])
def test_compiled_with_regularisers(cell, compiler):
    layer, counter = build(cell, num_layers=2, **REGULARISED), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, backend=counter, fullgraph=True, dynamic=True)
    frames = []
    for steps, rows in ((5, 4), (7, 4), (3, 6)):
        x = an_input(steps, rows)
        same(differentiated(layer, compiled, x), differentiated(layer, layer, x))
        frames.append(counter.frame_count)
    assert frames[0] == frames[-1]  # dynamo starts over once by itself, for the floats that the rates are
    x = an_input(5, 4)
    with torch.no_grad():
        layer.eval()
        same(flat(compiled(x)), flat(layer(x)))


def test_compiled_with_parametrised_weights(compiler):
    layer = parametrizations.weight_norm(build("peephole"), "weight_hh_l0")
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    same(differentiated(layer, compiled, an_input()), differentiated(layer, layer, an_input()))


@pytest.mark.parametrize("options", [{}, REGULARISED], ids=["plain", "regularised"])
@each_cell
def test_exported_with_free_batch_and_time(cell, options):
    layer = build(cell, **options).eval()
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")
    free = {"input": {0: time, 1: batch}, "lengths": {0: batch}}
    given = {"lengths": torch.tensor([2, 5, 0, 1])}
    exported = torch.export.export(layer, (an_input(5, 4),), given, dynamic_shapes=free).module()
    for steps, rows in ((1, 1), (1, 3), (11, 1), (8, 6)):
        x, lengths = an_input(steps, rows), torch.arange(rows) % (steps + 1)
        same(flat(exported(x, lengths=lengths)), flat(layer(x, lengths=lengths)))


# Precision


@each_cell
def test_autocast(cell):
    layer, x = build(cell, num_layers=2), an_input()
    want = differentiated(layer, layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        got = differentiated(layer, layer, x)
    results = len(want) - len(list(layer.parameters()))
    assert {g.dtype for g in got[:results]} == {torch.bfloat16}
    assert {g.dtype for g in got[results:]} == {torch.float32}
    for number, (g, w) in enumerate(zip(got, want, strict=True)):
        assert torch.isfinite(g).all()
        if cell != "mlstm":  # which divides by what may be near zero
            assert_close(g.float(), w, 4 * tolerance(torch.bfloat16, T), f"result {number}")
    double = build(cell, torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        assert double(x.double())[0].dtype == torch.float64


# Derivatives


@pytest.mark.parametrize("options", [{"num_layers": 2}, REGULARISED], ids=["plain", "regularised"])
@each_cell
def test_first_and_second_derivatives(cell, options):
    layer = build(cell, torch.float64, **options)
    names, weights = zip(*layer.named_parameters(), strict=True)

    def run(x, *weights):
        torch.manual_seed(5)
        return tuple(flat(functional_call(layer, dict(zip(names, weights, strict=True)), (x,))))

    inputs = an_input(3, 2, dtype=torch.float64).requires_grad_(), *weights
    assert gradcheck(run, inputs, fast_mode=True)
    assert gradgradcheck(run, inputs, fast_mode=True)


@each_cell
def test_a_penalty_on_the_gradient_in_float32(cell):
    """What the native engine differentiates once, and the reference after it."""
    found = []
    for dtype in (torch.float32, torch.float64):
        layer, x = build(cell).to(dtype), an_input().to(dtype).requires_grad_()
        [slope] = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), list(layer.parameters())))
    for number, (got, want) in enumerate(zip(*found, strict=True)):
        assert_close(got, want, 64 * tolerance(torch.float32, T), f"parameter {number}")


@each_dtype
@each_cell
def test_gradients_of_each_example_equal_a_loop(cell, dtype):
    layer = build(cell, dtype, num_layers=2)
    loss, weights, x = loss_of(layer), dict(layer.named_parameters()), an_input(T, B, 1, dtype=dtype)
    found = vmap(grad(loss), in_dims=(None, 1))(weights, x)
    for example in range(B):
        want = torch.autograd.grad(loss(weights, x[:, example]), list(weights.values()))
        same([found[name][example].detach() for name in weights], want)


@pytest.mark.parametrize("cell", ["gru", "mlstm", "mingru", "homemade"])
def test_examples_with_their_own_lengths_resets_and_states(cell):
    layer, x = build(cell), an_input(T, B, 1)
    lengths, resets = torch.tensor([[2], [4], [0]]), an_input(T, B)[..., :1] < -0.3
    # A normaliser is above zero.
    state = tuple(an_input(B, 1, 1, seed=i)[..., :1].abs() * torch.ones(n) for i, n in enumerate(layer._carried))

    def run(x, lengths, resets, *state):
        return flat(layer(x, state, lengths=lengths, resets=resets))

    found = vmap(run, in_dims=(1, 0, 1, *[0] * len(state)))(x, lengths, resets, *state)
    for example in range(B):
        want = run(x[:, example], lengths[example], resets[:, example], *(s[example] for s in state))
        same([value[example] for value in found], want)


@pytest.mark.parametrize("cell", ["lstm", "mlstm"])
def test_an_ensemble_at_once(cell):
    models, x = [build(cell) for _ in range(3)], an_input()
    for number, model in enumerate(models):
        weights = nn.utils.parameters_to_vector(model.parameters())
        nn.utils.vector_to_parameters(weights.detach() * (number + 1) / 2, model.parameters())
    weights, buffers = stack_module_state(models)
    found = vmap(lambda w, b: functional_call(models[0], (w, b), (x,))[0])(weights, buffers)
    for got, model in zip(found, models, strict=True):
        same([got], [model(x)[0]])


@each_dtype
@each_cell
def test_forward_derivatives_are_those_of_reverse_mode(cell, dtype):
    layer, x, along = build(cell, dtype), an_input(dtype=dtype), an_input(dtype=dtype, seed=1)

    def run(x):
        return layer(x)[0]

    y, tangent = jvp(run, (x,), (along,))
    same([y], [run(x)])
    leaf = x.clone().requires_grad_()
    [slope] = torch.autograd.grad(run(leaf), leaf, y)
    assert_close((tangent * y).sum(), (slope * along).sum(), 64 * tolerance(dtype, T), "<y, J v> = <J' y, v>")
    with forward_ad.dual_level():
        again = forward_ad.unpack_dual(run(forward_ad.make_dual(x, along))).tangent
    same([again], [tangent])


@each_cell
def test_jacobians_and_hessians_by_torch_func(cell):
    layer, x = build(cell, torch.float64), an_input(2, 1, dtype=torch.float64)

    def loss(x):
        return layer(x)[0].square().sum()

    same([hessian(loss)(x)], [torch.autograd.functional.hessian(loss, x)])
    rows = jacrev(lambda x: layer(x)[0])(x)
    same([rows], [torch.autograd.functional.jacobian(lambda x: layer(x)[0], x)])


@pytest.mark.parametrize("cell", ["lstm", "mlstm", "mingru", "homemade"])
def test_torch_func_through_regularised_layers(cell):
    layer = build(cell, num_layers=2, **REGULARISED)
    loss, weights, x = loss_of(layer), dict(layer.named_parameters()), an_input(T, B, 1)

    def seeded(call):
        torch.manual_seed(5)
        return call()

    each = vmap(grad(loss), in_dims=(None, 1), randomness="same")
    found = seeded(lambda: each(weights, x))
    for example in range(B):
        want = torch.autograd.grad(seeded(lambda e=example: loss(weights, x[:, e])), list(weights.values()))
        same([found[name][example].detach() for name in weights], want)

    twins = x[:, :1].expand(-1, 2, -1, -1)
    one, other = vmap(lambda x: layer(x)[0], in_dims=1, randomness="different")(twins)
    assert not torch.equal(one, other)
    y, tangent = seeded(lambda: jvp(lambda x: layer(x)[0], (x[:, 0],), (x[:, 1],)))
    same([y], [seeded(lambda: layer(x[:, 0])[0])])
    assert tangent.any()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(lambda: MultiDimensionalLSTM(D, H), (1, 3, 4, D)), (lambda: ConvLSTM(2, 3), (T, 1, 2, 4, 5))],
    ids=["multidimensional", "convolutional"],
)
def test_torch_func_in_more_dimensions(layer, shape):
    torch.manual_seed(3)
    layer = layer()
    weights, x = dict(layer.named_parameters()), torch.randn(2, *shape)

    def loss(weights, x):
        y = functional_call(layer, weights, (x,))
        return (y[0] if isinstance(y, tuple) else y).square().sum()

    found = vmap(grad(loss), in_dims=(None, 0))(weights, x)
    for example in range(2):
        want = torch.autograd.grad(loss(weights, x[example]), list(weights.values()))
        same([found[name][example].detach() for name in weights], want)
    _, tangent = jvp(lambda x: loss(weights, x), (x[0],), (x[1],))
    leaf = x[0].clone().requires_grad_()
    slope = (torch.autograd.grad(loss(weights, leaf), leaf)[0] * x[1]).sum()
    same([tangent.detach()], [slope], 64 * tolerance(torch.float32, T))


# Weights that are made of others


def matrices(layer):
    return [name for name, p in list(layer.named_parameters()) if p.dim() == 2]


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "orthogonal"])
@each_cell
def test_parametrised_weights(cell, kind):
    plain, layer, x = build(cell, num_layers=2), build(cell, num_layers=2), an_input()
    for name in matrices(layer):
        getattr(parametrizations, kind)(layer, name)
    if kind == "weight_norm":
        same(flat(layer(x)), flat(plain(x)))
    layer(x)[0].square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())
    for name in matrices(plain):  # what was computed with is what the layer shows, with the gradient of it
        getattr(plain, name).data.copy_(getattr(layer.eval(), name))
    same(flat(layer(x)), flat(plain(x)))
    assert [[w.shape for w in ws] for ws in layer.all_weights] == [[w.shape for w in ws] for ws in plain.all_weights]

    twin = copy.deepcopy(layer)
    twin.load_state_dict(layer.state_dict())
    before = flat(layer(x))
    torch.optim.SGD(layer.parameters(), 1.0).step()
    assert not torch.equal(layer(x)[0], before[0])
    same(flat(twin(x)), before)
    for name in matrices(plain):
        parametrize.remove_parametrizations(twin, name)
    same(flat(twin(x)), before)
    assert list(twin.state_dict().keys()) != list(layer.state_dict().keys())
    plain.load_state_dict(twin.state_dict())


def test_a_parametrisation_is_computed_once_a_call():
    """Else a power iteration would go on twice as fast, and what is costly cost twice."""

    class Counted(nn.Module):
        calls = 0

        def forward(self, weight):
            self.calls += 1
            return weight

    layer = build("lstm")
    counted = {name: Counted() for name, _ in list(layer.named_parameters())}
    for name, module in counted.items():
        parametrize.register_parametrization(layer, name, module, unsafe=True)
        module.calls = 0
    layer(an_input())
    assert {name: module.calls for name, module in counted.items()} == dict.fromkeys(counted, 1)


@each_cell
def test_pruned_weights(cell):
    layer, x = build(cell, num_layers=2), an_input()
    pruned = matrices(layer)[:3]
    for name in pruned:
        prune.l1_unstructured(layer, name, 0.5)
    layer(x)[0].square().sum().backward()
    for name in pruned:
        dropped = getattr(layer, f"{name}_mask") == 0
        assert dropped.float().mean() > 0.4
        assert not getattr(layer, f"{name}_orig").grad[dropped].any()
    torch.optim.SGD(layer.parameters(), 0.1).step()
    stepped = flat(layer(x))  # with weights masked anew
    assert not any(getattr(layer, name)[getattr(layer, f"{name}_mask") == 0].any() for name in pruned)
    assert len(layer.all_weights[0]) == len(build(cell).state_dict())

    again = build(cell, num_layers=2)
    for name in pruned:
        prune.identity(again, name)
    again.load_state_dict(layer.state_dict())
    same(flat(again(x)), stepped)
    for name in pruned:
        prune.remove(layer, name)
    same(flat(layer(x)), stepped)
    build(cell, num_layers=2).load_state_dict(layer.state_dict())


# Copies and files


@pytest.mark.parametrize("options", [{"bidirectional": True}, REGULARISED], ids=["plain", "regularised"])
@each_cell
def test_copies_pickles_and_state_dicts(cell, options):
    layer, x = build(cell, num_layers=2, **options), an_input()
    wanted = differentiated(layer, layer, x)
    blank = Recurrent(CELLS[cell], D, H, num_layers=2, **options)
    assert blank.load_state_dict(layer.state_dict()) == ([], [])
    meta = Recurrent(CELLS[cell], D, H, num_layers=2, **options, device="meta")
    meta.load_state_dict(layer.state_dict(), assign=True)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), blank, meta):
        assert repr(other) == repr(layer)
        assert all(torch.equal(g, w) for g, w in zip(differentiated(other, other, x), wanted, strict=True))
    with torch.no_grad():
        next(blank.parameters()).add_(1.0)
    assert not torch.equal(differentiated(blank, blank, x)[0], wanted[0])
    assert torch.equal(differentiated(layer, layer, x)[0], wanted[0])


@each_cell
def test_a_state_dict_that_does_not_fit_is_refused(cell):
    layer = build(cell)
    state = layer.state_dict()
    first = next(iter(state))
    before = copy.deepcopy(state)
    with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{first}"'):
        layer.load_state_dict({name: w for name, w in state.items() if name != first})
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "weight_ih_l1"'):
        layer.load_state_dict(state | {"weight_ih_l1": torch.zeros(1)})
    with pytest.raises(RuntimeError, match=f"size mismatch for {first}"):
        layer.load_state_dict(state | {first: torch.zeros(2, 2)})
    assert all(torch.equal(w, before[name]) for name, w in layer.state_dict().items())
    found = layer.load_state_dict({first: state[first] + 1, "else": torch.zeros(1)}, strict=False)
    assert (found.unexpected_keys, len(found.missing_keys)) == (["else"], len(state) - 1)
    assert torch.equal(layer.state_dict()[first], before[first] + 1)


# Two processes


SHARED_OUT = {  # what is trained by two processes: cell and options
    "stack": ("lstm", {"num_layers": 2, "bidirectional": True}),
    "peephole": ("peephole", {}),
    "slstm": ("slstm", {"num_layers": 2}),
    "mlstm": ("mlstm", {}),
    "homemade": ("homemade", {}),
}


def trained(name, wrap, rows):
    """Weights after three steps on these rows of each batch."""
    cell, options = SHARED_OUT[name]
    layer = build(cell, **options)
    model = wrap(layer)
    optimiser = torch.optim.SGD(layer.parameters(), 0.5)
    for step in range(3):
        y, state = model(an_input(5, 6, seed=step)[:, rows])
        optimiser.zero_grad()
        (sum(value.square().sum() for value in flat((y, state))) / y.shape[1]).backward()
        assert all(p.grad is not None for p in layer.parameters())
        optimiser.step()
    return layer.state_dict()


def one_of_two(rank, folder):
    import torch.distributed as dist

    warnings.simplefilter("error")
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", meeting, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    try:
        half = slice(3 * rank, 3 * rank + 3)
        wrap = (
            nn.parallel.DistributedDataParallel
        )  # which waits for every gradient: a parameter without one is an error
        torch.save({name: trained(name, wrap, half) for name in SHARED_OUT}, f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_two_processes_are_one_with_the_whole_batch(tmp_path):
    dist = pytest.importorskip("torch.distributed")
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    children = torch.multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2, join=False)
    try:
        assert children.join(timeout=120) or children.join(timeout=30), "the two processes are still at it"
    finally:
        for process in children.processes:
            process.kill()
            process.join()
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name in SHARED_OUT:
        want = trained(name, lambda layer: layer, slice(None))
        for weight, value in want.items():
            assert torch.equal(one[name][weight], other[name][weight])
            assert_close(one[name][weight], value, 16 * tolerance(torch.float32, 15), f"{name} {weight}")
