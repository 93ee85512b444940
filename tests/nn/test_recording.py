"""Layers that are recorded, or run without values: what comes out is computed or refused, never memory as it was."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from table import assert_close, three_stages, tolerance
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise import engine
from gatewise.cells import find
from gatewise.errors import OptionError, ShapeError
from gatewise.nn import CRF, GRU, LSTM, AdditiveAttention, ConvLSTM, LocalAttention, MultiDimensionalLSTM, Recurrent

D, H = 3, 5
CLOSE = tolerance(torch.float32, 8)

# What torch says of its own recorders; whatever else is said, as of a number that a trace fixes, fails the test.
CHECKED = r"torch.jit.TracerWarning:gatewise\.(nn\.(recurrent|_checks)|native\.calls)$"  # as `nn` tells Python itself
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:Converting a tensor:{CHECKED}"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
]

LAYERS = {
    "lstm": lambda: LSTM(D, H, num_layers=2),
    "bidirectional": lambda: LSTM(D, H, num_layers=2, bidirectional=True),
    "gru": lambda: GRU(D, H, batch_first=True),
    "projected": lambda: LSTM(D, H, proj_size=2),
    "homemade": lambda: LSTM(D, H, cell=three_stages),
    "peephole": lambda: Recurrent("peephole", D, H, threads=1),
    "memory": lambda: Recurrent("mlstm", D, 8),
    "scanned": lambda: Recurrent("minlstm", D, H),
    "float64": lambda: LSTM(D, H, dtype=torch.float64),
    "bfloat16": lambda: LSTM(D, H, dtype=torch.bfloat16),
    "regularised": lambda: LSTM(D, H, zoneout=0.1, recurrent_dropout=0.2, weight_dropout=0.1),
}


class Plain(torch.nn.Module):
    """All results in one tuple, of positional arguments."""

    def __init__(self, layer, *names):
        super().__init__()
        self.layer, self.names = layer, names

    def forward(self, x, *more):
        y, state = self.layer(x, **dict(zip(self.names, more, strict=True)))
        return y, *(state if isinstance(state, tuple) else [state])


class Packed(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, self.layer.batch_first, enforce_sorted=False)
        y, state = self.layer(packed)
        y = pad_packed_sequence(y, self.layer.batch_first)[0]
        return y, *(state if isinstance(state, tuple) else [state])


def an_input(layer, steps, rows, way):
    generator = torch.Generator().manual_seed(steps)
    x = torch.randn((rows, steps, D) if layer.batch_first else (steps, rows, D), generator=generator)
    found = [x.to(layer.weight_ih_l0.dtype)]
    if way != "plain":
        found.append(torch.arange(rows) % steps + 1)
    if way == "resets":
        found.append(torch.rand(x.shape[:2], generator=generator) < 0.3)
    return found


def build(make, way):
    torch.manual_seed(1)
    layer = make().eval()
    names = {"plain": (), "lengths": ("lengths",), "resets": ("lengths", "resets")}
    return Packed(layer) if way == "packed" else Plain(layer, *names[way])


def saved(model, inputs, path):
    torch.jit.save(torch.jit.trace(model, inputs, check_trace=False), path / "traced.pt")
    return torch.jit.load(path / "traced.pt")


# What was recorded on the first inputs, as a function.
RECORDERS = {
    "trace": lambda model, inputs, path: torch.jit.trace(model, inputs, check_trace=False),
    "frozen": lambda model, inputs, path: torch.jit.trace(model.requires_grad_(False), inputs, check_trace=False),
    "saved": saved,
    "functionalize": lambda model, inputs, path: torch.func.functionalize(model),
    "symbolic": lambda model, inputs, path: make_fx(model, tracing_mode="symbolic", _allow_non_fake_inputs=True)(
        *inputs
    ),
    "make_fx": lambda model, inputs, path: make_fx(model)(*inputs),
    "pre-dispatch": lambda model, inputs, path: make_fx(model, pre_dispatch=True)(*inputs),
    "functional": lambda model, inputs, path: make_fx(torch.func.functionalize(model))(*inputs),
}
FIXED = ("make_fx", "pre-dispatch", "functional")  # to the sizes that were recorded


def same(got, want, close=CLOSE):
    for number, (g, w) in enumerate(zip(got, want, strict=True)):
        assert_close(g, w, close, f"result {number}")


@pytest.mark.parametrize(
    "way", ["plain", "resets", *(pytest.param(way, marks=pytest.mark.slow) for way in ("lengths", "packed"))]
)
@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_what_was_recorded_computes(make, recorder, way, tmp_path):
    model = build(make, way)
    close = tolerance(model.layer.weight_ih_l0.dtype, 8)
    first = an_input(model.layer, 6, 4, way)
    if way == "packed" and recorder in (*FIXED, "symbolic"):  # torch would record lengths of today, and unset memory
        with pytest.raises(OptionError, match=r"make_fx cannot record a PackedSequence\. Pad it"):
            RECORDERS[recorder](model, first, tmp_path)
        return
    recorded = RECORDERS[recorder](model, tuple(first), tmp_path)
    for steps, rows in ((6, 4),) if recorder in FIXED else ((6, 4), (9, 3), (1, 2)):
        inputs = an_input(model.layer, steps, rows, way)
        inputs[0] = inputs[0] + 1
        torch.empty(10**5).fill_(float("nan"))  # what unset memory would show
        same(recorded(*inputs), model(*inputs), close)


@pytest.mark.parametrize("way", ["plain", "resets"])
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_fake_and_meta_tensors_have_the_shapes_of_the_results(make, way):
    model = build(make, way)
    inputs = an_input(model.layer, 6, 4, way)
    want = [(r.shape, r.dtype) for r in model(*inputs)]
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    fake = [mode.from_tensor(i) for i in inputs]
    with mode:
        assert [(r.shape, r.dtype) for r in model(*fake)] == want
    assert [(r.shape, r.dtype) for r in model(*fake)] == want
    meta = model.to("meta")(*[i.to("meta") for i in inputs])
    assert [(r.shape, r.dtype, r.is_meta) for r in meta] == [(*w, True) for w in want]


@pytest.mark.parametrize("make", [LAYERS["lstm"], LAYERS["peephole"]], ids=["torch", "ours"])
def test_a_trace_is_differentiated_and_needs_gatewise_only_for_cells_of_its_own(make):
    model = build(make, "plain")
    [x] = an_input(model.layer, 6, 4, "plain")
    traced = torch.jit.trace(model, (x,))
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert ("aten::lstm" in kinds, "gatewise::recurrence" in kinds) == (
        make is LAYERS["lstm"],
        make is LAYERS["peephole"],
    )
    parameters = list(model.parameters())
    x = x.requires_grad_()
    found = [torch.autograd.grad(sum(r.square().sum() for r in f(x)), [x, *parameters]) for f in (traced, model)]
    same(*found)


def test_gradients_are_recorded():
    model = build(LAYERS["bidirectional"], "lengths")
    x, lengths = an_input(model.layer, 6, 4, "lengths")

    def gradient(x, lengths):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(sum(r.square().sum() for r in model(x, lengths)), [x])

    recorded = make_fx(gradient)(x, lengths)
    same(recorded(x + 1, lengths), gradient(x + 1, lengths))


def test_masks_are_drawn_anew_by_what_was_recorded():
    torch.manual_seed(1)
    layer = LSTM(D, 40, recurrent_dropout=0.5, zoneout=0.2, weight_dropout=0.3)
    x = torch.randn(6, 3, D)
    for recorded in (torch.jit.trace(Plain(layer), (x,), check_trace=False), make_fx(Plain(layer))(x)):
        results = []
        for f in (recorded, Plain(layer), recorded):
            torch.manual_seed(2)
            results.append(f(x))
        same(results[0], results[1])
        same(results[0], results[2], 0)
        assert not torch.equal(recorded(x)[0], recorded(x)[0])


OTHERS = {
    "convolutional": (lambda: ConvLSTM(D, H), (4, 2, D, 5, 5)),
    "images": (lambda: MultiDimensionalLSTM(D, H), (2, 2, 3, D)),
}


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # that sizes are fixed
@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.parametrize("kind", OTHERS)
def test_layers_of_more_dimensions(kind, recorder, tmp_path):
    make, shape = OTHERS[kind]
    torch.manual_seed(1)
    model, x = Plain(make().eval()), torch.randn(shape)
    recorded = RECORDERS[recorder](model, (x,), tmp_path)
    same(recorded(x + 1), model(x + 1))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("recorder", RECORDERS)
def test_sizes_of_images_cannot_be_recorded(recorder, tmp_path):
    model = Plain(MultiDimensionalLSTM(D, H), "sizes")
    inputs = torch.randn(2, 4, 5, D), torch.tensor([[3, 2], [4, 5]])
    with pytest.raises(OptionError, match="follow from the values of sizes, so it takes no recorded ones"):
        RECORDERS[recorder](model, inputs, tmp_path)(*inputs)


def test_one_step():
    lstm = find("lstm")
    weights = [torch.randn(4 * H, D), torch.randn(4 * H, H), torch.randn(4 * H)]

    def step(x, h, c):
        return tuple(engine.step(lstm, x, [h, c], weights))

    first, second = ([torch.randn(2, n) for n in (D, H, H)] for _ in range(2))
    for recorded in (torch.jit.trace(step, tuple(first)), make_fx(step)(*first)):
        same(recorded(*second), step(*second))


@pytest.mark.parametrize("make", [LAYERS["peephole"], LAYERS["projected"]], ids=["cell", "projection"])
def test_onnx_without_such_a_layer_is_refused(make, tmp_path):
    model = build(make, "plain")
    with (
        warnings.catch_warnings(action="ignore"),  # of torch, that this way of exporting goes
        pytest.raises(OptionError, match=f"ONNX has no layer for cell '{model.layer.cell.name}'"),
    ):
        torch.onnx.export(model, tuple(an_input(model.layer, 6, 4, "plain")), tmp_path / "m.onnx", dynamo=False)


LENGTHS = [
    *[
        torch.tensor([0, 100, 3]).to(getattr(torch, f"{sign}int{bits}"))
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    ],
    *[np.array([0, 100, 3], kind) for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4")],
    [0, 100, 3],
    (0, 100, 3),
    [np.uint16(0), np.uint16(100), np.uint16(3)],
    pd.Series([0, 100, 3], index=[7, 3, 9]),
    pd.Series([0, 100, 3], dtype="Int64"),
    pl.Series([0, 100, 3]),
]


@pytest.mark.parametrize("lengths", LENGTHS, ids=lambda n: f"{type(n).__name__}-{getattr(n, 'dtype', '')}")
def test_lengths_of_any_kind_of_whole_numbers(lengths):
    x = torch.randn(300, 3, D, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    native, fused = LSTM(D, H, bidirectional=True), GRU(D, H, bidirectional=True).double()
    scanned, convolutional, crf = Recurrent("mingru", D, H).double(), ConvLSTM(D, 2, kernel_size=1), CRF(D)
    attention, local = AdditiveAttention(4, D), LocalAttention(4, D)
    layers = {
        "native": lambda n: native(x, lengths=n)[0],
        "fused": lambda n: fused(x.double(), lengths=n)[0],
        "scanned": lambda n: scanned(x.double(), lengths=n)[0],
        "convolutional": lambda n: convolutional(x[..., None, None], lengths=n)[0],
        "labels": lambda n: crf.decode(x, lengths=n)[0],
        "attention": lambda n: attention(torch.ones(3, 4), x, lengths=n)[0],
        "local": lambda n: local(torch.ones(3, 4), x, lengths=n)[0],
    }
    for name, layer in layers.items():
        assert torch.equal(layer(lengths), layer(torch.tensor([0, 100, 3]))), name


@pytest.mark.parametrize("lengths", [pl.Series([0.5, 1, 2]), pd.Series(["a", "b", "c"]), np.array([1.0, 2, 3])])
def test_lengths_that_are_no_whole_numbers(lengths):
    with pytest.raises(ShapeError, match="lengths must be whole numbers"):
        LSTM(D, H)(torch.zeros(4, 3, D), lengths=lengths)
