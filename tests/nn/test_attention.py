"""Attention: the papers' equations written out, torch's own, and the laws of weights and padding."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn.functional import scaled_dot_product_attention

from gatewise import nn
from gatewise.errors import GatewiseError, OptionError, OptionTypeError, ShapeError

Q, B, T, DQ, D, V = 3, 4, 6, 5, 5, 2  # query and key are of one size, for those that take their dot product
LENGTHS = [4, 6, 0, 1]

KINDS = {
    "additive": lambda **o: nn.AdditiveAttention(DQ, D, 7, **o),
    "general": lambda **o: nn.MultiplicativeAttention(DQ, D, **o),
    "dot": lambda **o: nn.MultiplicativeAttention(DQ, D, "dot", **o),
    "scaled": lambda **o: nn.ScaledDotProductAttention(D, **o),
    "local-m": lambda **o: nn.LocalAttention(DQ, D, 2, predict=False, **o),
    "local-p": lambda **o: nn.LocalAttention(DQ, D, 2, **o),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def build(kind, **options):
    torch.manual_seed(3)
    return KINDS[kind](**options).double()


def inputs(seed=4, q=Q, b=B, t=T):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((q, b, DQ), (t, b, D), (t, b, V))
    ]


def by_hand(kind, attention, query, keys, values, lengths):
    """One query and one step at a time, as the papers write it. Numbers come from torch, the equations from here."""
    weights = dict(attention.named_parameters())

    def score(q, k):
        if kind == "additive":
            return weights["v.weight"][0] @ torch.tanh(weights["W.weight"] @ q + weights["U.weight"] @ k)
        if kind == "dot":
            return q @ k
        return q @ k / math.sqrt(D) if kind == "scaled" else q @ (weights["W.weight"] @ k)

    contexts, found = torch.zeros(len(query), B, V), torch.zeros(B, len(query), len(keys))
    for b in range(B):
        n = lengths[b]
        for number, q in enumerate(query[:, b]):
            place = float(number)
            if kind == "local-p":
                place = n * torch.sigmoid(weights["v.weight"][0] @ torch.tanh(weights["P.weight"] @ q)).item()
            steps = [s for s in range(n) if not kind.startswith("local") or abs(s - place) <= 2]
            shares = [math.exp(score(q, keys[s, b]).item()) for s in steps]
            for s, share in zip(steps, shares, strict=True):
                weight = share / sum(shares)
                if kind == "local-p":
                    sigma = 2 / 2
                    weight *= math.exp(-((s - place) ** 2) / (2 * sigma**2))
                found[b, number, s] = weight
                contexts[number, b] += weight * values[s, b]
    return contexts, found


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
@each_kind
def test_it_is_the_equation_of_the_paper(kind, lengths):
    attention, (query, keys, values) = build(kind), inputs()
    torch.set_default_dtype(torch.float64)
    try:
        want = by_hand(kind, attention, query, keys, values, lengths or [T] * B)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(attention(query, keys, values, lengths=lengths), want)


def test_scaled_is_that_of_torch():
    query, keys, values = inputs()
    context, _ = nn.ScaledDotProductAttention(D)(query, keys, values, lengths=[4, 6, 2, 1])
    mask = torch.arange(T) < torch.tensor([4, 6, 2, 1])[:, None, None]
    first = [v.transpose(0, 1) for v in (query, keys, values)]
    torch.testing.assert_close(context.transpose(0, 1), scaled_dot_product_attention(*first, attn_mask=mask))


@pytest.mark.parametrize("first", [False, True])
def test_scaled_is_one_head_of_torchs_multihead_attention(first):
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(D, 1, bias=False, batch_first=first).double()
    query, keys, _ = inputs()
    if first:
        query, keys = query.transpose(0, 1), keys.transpose(0, 1)
    lengths = torch.tensor([4, 6, 2, 1])
    padding = torch.arange(T) >= lengths[:, None]
    want, want_weights = theirs(query, keys, keys, key_padding_mask=padding)
    q, k, v = (v @ w.T for v, w in zip((query, keys, keys), theirs.in_proj_weight.chunk(3), strict=True))
    context, weights = nn.ScaledDotProductAttention(D, batch_first=first)(q, k, v, lengths=lengths)
    torch.testing.assert_close((theirs.out_proj(context), weights), (want, want_weights))


def test_luongs_concat_is_the_additive_one():
    attention, (query, keys, _) = build("additive"), inputs()
    W, v = torch.cat([attention.W.weight, attention.U.weight], 1), attention.v.weight[0]
    pairs = torch.cat(
        [query.transpose(0, 1)[:, :, None].expand(-1, -1, T, -1), keys.transpose(0, 1)[:, None].expand(-1, Q, -1, -1)],
        -1,
    )
    torch.testing.assert_close(attention(query, keys)[1], (torch.tanh(pairs @ W.T) @ v).softmax(-1))


@each_kind
def test_values_are_the_keys_unless_given(kind):
    attention, (query, keys, _) = build(kind), inputs()
    torch.testing.assert_close(attention(query, keys), attention(query, keys, keys))


@each_kind
def test_batch_first(kind):
    query, keys, values = inputs()
    context, weights = build(kind)(query, keys, values, lengths=LENGTHS)
    turned = [v.transpose(0, 1) for v in (query, keys, values)]
    got, got_weights = build(kind, batch_first=True)(*turned, lengths=LENGTHS)
    assert (context.shape, weights.shape) == ((Q, B, V), (B, Q, T))
    torch.testing.assert_close((got.transpose(0, 1), got_weights), (context, weights))


@each_kind
def test_reading_step_by_step_is_reading_at_once(kind):
    """As a decoder does: the sequence is made ready once."""
    attention, (query, keys, values) = build(kind), inputs()
    context, weights = attention(query, keys, values, lengths=LENGTHS)
    memory = attention.memory(keys, values, lengths=LENGTHS)
    for step in range(Q):
        options = {"positions": torch.full((B,), step)} if kind == "local-m" else {}
        got = attention.read(query[step], memory, **options)
        torch.testing.assert_close(got, (context[step], weights[:, step]))


@each_kind
def test_a_row_without_steps_gets_zeros(kind):
    attention, (query, keys, values) = build(kind), [v.requires_grad_() for v in inputs()]
    context, weights = attention(query, keys, values, lengths=LENGTHS)
    assert not context[:, 2].any()
    assert not weights[2].any()
    (context.square().sum() + weights.square().sum()).backward()
    for tensor in (query, keys, values, *attention.parameters()):
        assert torch.isfinite(tensor.grad).all()
    assert not keys.grad[:, 2].any()


rows = st.lists(st.integers(0, 5), min_size=1, max_size=4)
laws = settings(derandomize=True, deadline=None, max_examples=25)


@each_kind
def test_weights_sum_to_one_over_the_steps_that_count(kind):
    @laws
    @given(rows, st.integers(1, 3))
    def law(lengths, q):
        query, keys, values = inputs(q=q, b=len(lengths), t=5)
        _, weights = build(kind)(query, keys, values, lengths=lengths)
        beyond = torch.arange(5) >= torch.tensor(lengths)[:, None, None]
        assert (weights >= 0).all()
        assert not weights[beyond.expand_as(weights)].any()
        total = weights.sum(-1)
        if kind == "local-p":  # times a Gaussian, so less
            assert (total <= 1).all()
            return
        first = (torch.arange(q) - 2).clamp(min=0) if kind == "local-m" else torch.zeros(q)  # step that it may see
        seen = torch.tensor(lengths)[:, None] > first
        torch.testing.assert_close(total, seen.double())

    law()


@pytest.mark.parametrize("rubbish", [1e3, math.nan, math.inf])
@each_kind
def test_padding_touches_nothing(kind, rubbish):
    @laws
    @given(rows)
    def law(lengths):
        attention = build(kind)
        found = []
        for fill in (0.0, rubbish):
            query, keys, values = inputs(b=len(lengths), t=5)
            padding = torch.arange(5)[:, None] >= torch.tensor(lengths)
            keys[padding], values[padding] = fill, fill
            leaves = [v.requires_grad_() for v in (query, keys, values)]
            context, weights = attention(*leaves, lengths=lengths)
            gradients = torch.autograd.grad(
                context.square().sum(), [*leaves, *attention.parameters()], allow_unused=True
            )
            found.append([context, weights, *gradients])
        for one, other in zip(*found, strict=True):
            assert one is other is None or torch.equal(one, other)

    law()


@each_kind
def test_the_order_of_steps_does_not_matter_but_to_local_ones(kind):
    attention, (query, keys, values) = build(kind), inputs()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    context, weights = attention(query, keys, values)
    turned, turned_weights = attention(query, keys[order], values[order])
    same = torch.allclose(context, turned) and torch.allclose(weights[..., order], turned_weights)
    assert same == (not kind.startswith("local"))


@pytest.mark.parametrize("lengths", [None, [2, 3, 0]], ids=["full", "ragged"])
@each_kind
def test_gradients(kind, lengths):
    attention = build(kind)
    leaves = [v.requires_grad_() for v in inputs(q=2, b=3, t=3)]
    names = [name for name, _ in attention.named_parameters()]

    def run(query, keys, values, *weights):
        weights = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(attention, weights, (query, keys, values), {"lengths": lengths})

    assert gradcheck(run, [*leaves, *attention.parameters()])


def test_a_predicted_place_learns():
    attention, (query, keys, values) = build("local-p"), inputs()
    attention(query, keys, values)[0].square().sum().backward()
    assert attention.P.weight.grad.any()
    assert attention.v.weight.grad.any()


def test_positions_may_lie_between_steps_and_beyond_the_end():
    attention, (query, keys, values) = build("local-m"), inputs()
    context, weights = attention(query[0], keys, values, positions=torch.tensor([0.0, 2.5, 5.0, 9.0]))
    reached = [[0, 1, 2], [1, 2, 3, 4], [3, 4, 5], []]
    assert [row.nonzero().flatten().tolist() for row in weights] == reached
    assert not context[3].any()


@each_kind
def test_other_dtypes_and_empty_batches(kind):
    attention = build(kind).float()
    query, keys, values = (v.float() for v in inputs(b=0))
    context, weights = attention(query, keys, values, lengths=[])
    assert (context.shape, weights.shape) == ((Q, 0, V), (0, Q, T))
    query, keys, values = inputs()
    got = attention.bfloat16()(*(v.bfloat16() for v in (query, keys, values)), lengths=LENGTHS)
    for one, other in zip(got, build(kind)(query, keys, values, lengths=LENGTHS), strict=True):
        assert one.dtype == torch.bfloat16
        if kind != "local-p":  # whose window may move by a step when its place is rounded
            torch.testing.assert_close(one.double(), other, atol=0.05, rtol=0.05)


MISTAKES = {
    "query": (lambda a, q, k, v: a(q[..., :3], k, v), "query_size of 5, but query has 3 features"),
    "keys": (lambda a, q, k, v: a(q, k[..., :3], v), "key_size of 5, but keys has 3 features"),
    "values": (lambda a, q, k, v: a(q, k, v[:4]), r"differ in steps"),
    "rows": (lambda a, q, k, v: a(q[:, :2], k, v), "the query has 2 rows, but the keys have 4"),
    "axes": (lambda a, q, k, v: a(q, k[0], v), "keys must be 3-D"),
    "lengths": (lambda a, q, k, v: a(q, k, v, lengths=[7, 1, 1, 1]), "a length of 7 does not fit"),
    "numpy": (lambda a, q, k, v: a(q, k.numpy(), v), "keys must be a tensor, not ndarray"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@each_kind
def test_mistakes_are_told(kind, mistake):
    run, message = MISTAKES[mistake]
    with pytest.raises(GatewiseError, match=message) as caught:
        run(build(kind), *inputs())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: nn.MultiplicativeAttention(3, 4, "dot"), OptionError, "a query of 3 values has no dot product"),
        (lambda: nn.MultiplicativeAttention(3, 4, "concat"), OptionError, "'concat' is AdditiveAttention"),
        (lambda: nn.AdditiveAttention(3, 0), OptionError, "key_size must be at least 1, not 0"),
        (lambda: nn.LocalAttention(3, 4, window=2.5), OptionTypeError, "window must be int, not float: 2.5"),
        (lambda: build("local-p")(*inputs(), positions=torch.zeros(B, Q)), OptionError, "predicts its positions"),
        (lambda: build("local-m")(*inputs(), positions=torch.zeros(B)), ShapeError, "positions must have shape"),
    ],
)  # fmt: skip
def test_impossible_options(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


def test_what_it_prints():
    assert "MultiplicativeAttention(\n  5, 5" in repr(build("general"))
