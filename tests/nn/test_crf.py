"""The CRF against brute force, and against another library's."""

import itertools

import numpy as np
import pytest
import torch
import torchcrf

from gatewise.data.text.tagging_schemes import allowed_transitions
from gatewise.errors import OptionError, OptionTypeError, ShapeError
from gatewise.nn import CRF

LEVELS = ["O", "B-X", "I-X", "B-Y", "I-Y"]


def drawn(L=4, T=5, B=3, mask=None, seed=0, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    crf = CRF(L, mask, dtype=dtype)
    for weight in crf.parameters():
        weight.data = scale * torch.randn(weight.shape, generator=generator, dtype=dtype)
    emissions = scale * torch.randn(T, B, L, generator=generator, dtype=dtype)
    labels = torch.randint(L, (T, B), generator=generator)
    return crf, emissions, labels


def paths(crf, emissions):
    """(score, labels) of every legal sequence of one row, (T, L), by the definition."""
    L, allowed = crf.num_labels, crf.allowed
    for labels in itertools.product(range(L), repeat=len(emissions)):
        steps = [(L, labels[0]), *itertools.pairwise(labels), (labels[-1], L + 1)]
        if all(allowed[step] for step in steps):
            score = crf.start[labels[0]] + crf.end[labels[-1]]
            score = score + sum(crf.transitions[a, b] for a, b in itertools.pairwise(labels))
            yield score + sum(emissions[t, label] for t, label in enumerate(labels)), labels


@pytest.mark.parametrize(
    "mask", [None, allowed_transitions(LEVELS, "BIO"), allowed_transitions(LEVELS, "IOB1")], ids=["all", "BIO", "IOB1"]
)
def test_brute_force(mask):
    crf, emissions, _ = drawn(5, 5, 3, mask, seed=1)
    lengths = torch.tensor([5, 1, 3])
    log_partition = crf.log_partition(emissions, lengths=lengths)
    labels, score = crf.decode(emissions, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        with torch.no_grad():
            every = list(paths(crf, emissions[:length, row]))
        total = torch.stack([score for score, _ in every]).logsumexp(0)
        best, wanted = max(every, key=lambda path: float(path[0]))
        torch.testing.assert_close(log_partition[row], total)
        assert labels[:, row].tolist() == [*wanted, *[0] * (5 - length)]
        torch.testing.assert_close(score[row], best - total)
        padded = torch.zeros(5, 3, dtype=torch.int64)
        padded[:length, row] = torch.tensor(wanted)
        torch.testing.assert_close(crf(emissions, padded, lengths=lengths)[row], best - total)


def test_probabilities_of_all_sequences_sum_to_one():
    crf, emissions, _ = drawn(3, 4, 1)
    every = torch.tensor(list(itertools.product(range(3), repeat=4))).T
    total = crf(emissions.expand(-1, every.shape[1], -1), every).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0, dtype=torch.float64))


def test_another_library():
    crf, emissions, labels = drawn(6, 12, 5, seed=3)
    lengths = torch.tensor([12, 7, 1, 12, 4])
    other = torchcrf.CRF(6).double()
    other.transitions.data, other.start_transitions.data, other.end_transitions.data = (
        crf.transitions,
        crf.start,
        crf.end,
    )
    mask = torch.arange(12)[:, None] < lengths
    ours = emissions.clone().requires_grad_()
    theirs = emissions.clone().requires_grad_()
    likelihood = crf(ours, labels, lengths=lengths)
    expected = other(theirs, labels, mask, reduction="none")
    torch.testing.assert_close(likelihood, expected)
    likelihood.sum().backward()
    crf_gradients = {name: weight.grad.clone() for name, weight in crf.named_parameters()}
    for weight in crf.parameters():
        weight.grad = None
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    names = {"transitions": other.transitions, "start": other.start_transitions, "end": other.end_transitions}
    for name, weight in names.items():
        torch.testing.assert_close(crf_gradients[name], weight.grad)
    decoded = crf.decode(emissions, lengths=lengths)[0]
    for row, (path, length) in enumerate(zip(other.decode(emissions, mask), lengths.tolist(), strict=True)):
        assert decoded[:length, row].tolist() == path


def test_gradients():
    crf, emissions, labels = drawn(3, 4, 2, mask=allowed_transitions(["O", "B", "I"], "BIO"), seed=5)
    labels = torch.tensor([[0, 1], [1, 2], [2, 2], [0, 0]])
    lengths = torch.tensor([4, 2])
    names = [name for name, _ in crf.named_parameters()]

    def loss(emissions, *weights):
        return torch.func.functional_call(
            crf, dict(zip(names, weights, strict=True)), (emissions, labels), {"lengths": lengths}
        )

    inputs = (emissions.requires_grad_(), *crf.parameters())
    assert torch.autograd.gradcheck(loss, inputs)
    assert torch.autograd.gradgradcheck(loss, inputs)


def test_float32_is_exact_over_long_sequences():
    """Sums over ten thousand steps of large scores, beside the same in float64."""
    crf, emissions, labels = drawn(5, 10_000, 2, seed=7, scale=10.0)
    exact = crf(emissions, labels)
    single = CRF(5)
    single.load_state_dict(crf.state_dict())
    torch.testing.assert_close(single(emissions.float(), labels).double(), exact, rtol=1e-6, atol=0)
    path, score = single.decode(emissions.float())
    assert torch.equal(path, crf.decode(emissions)[0])
    assert (score <= 0).all()


def test_what_is_forbidden_is_never_decoded():
    mask = allowed_transitions(LEVELS, "BIO")
    crf, emissions, _ = drawn(5, 30, 8, mask, seed=9, scale=20.0)
    labels, _ = crf.decode(emissions)
    for row in labels.T.tolist():
        steps = [(5, row[0]), *itertools.pairwise(row), (row[-1], 6)]
        assert all(mask[step] for step in steps)


def test_padding_is_never_looked_at_and_a_batch_is_its_rows():
    crf, emissions, labels = drawn(4, 6, 4, seed=11, dtype=torch.float32)
    lengths = torch.tensor([3, 6, 0, 1])
    broken = emissions.clone()
    for row, length in enumerate(lengths.tolist()):
        broken[length:, row] = torch.nan
    broken.requires_grad_()
    wrong = torch.where(torch.arange(6)[:, None] < lengths, labels, 99)
    likelihood = crf(broken, wrong, lengths=lengths)
    likelihood.sum().backward()
    assert broken.grad.isfinite().all()
    assert likelihood[2] == 0
    decoded, score = crf.decode(broken, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        if length:
            alone = emissions[:length, row : row + 1]
            torch.testing.assert_close(crf(alone, labels[:length, row : row + 1])[0], likelihood[row])
            path, one = crf.decode(alone)
            assert torch.equal(path[:, 0], decoded[:length, row])
            torch.testing.assert_close(one[0], score[row])


def test_batch_first():
    crf, emissions, labels = drawn(4, 6, 3)
    turned = CRF(4, batch_first=True, dtype=torch.float64)
    turned.load_state_dict(crf.state_dict())
    lengths = [6, 2, 4]
    assert torch.equal(
        turned(emissions.transpose(0, 1), labels.T, lengths=lengths), crf(emissions, labels, lengths=lengths)
    )
    assert torch.equal(turned.decode(emissions.transpose(0, 1))[0], crf.decode(emissions)[0].T)
    assert torch.equal(turned.log_partition(emissions.transpose(0, 1)), crf.log_partition(emissions))


def test_compiles_to_one_graph():
    crf, emissions, labels = drawn(4, 5, 3, mask=np.ones((6, 6)), dtype=torch.float32)
    lengths = torch.tensor([5, 2, 4])
    compiled = torch.compile(crf, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(emissions, labels, lengths=lengths), crf(emissions, labels, lengths=lengths))
    decode = torch.compile(crf.decode, fullgraph=True, backend="eager")
    assert torch.equal(decode(emissions, lengths=lengths)[0], crf.decode(emissions, lengths=lengths)[0])


def test_autocast_keeps_float32():
    crf, emissions, labels = drawn(4, 5, 3, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(crf(emissions, labels), crf(emissions, labels).float())
        assert crf(emissions.bfloat16(), labels).dtype == torch.float32


def test_mistakes():
    with pytest.raises(OptionError, match="num_labels must be at least 1, not 0"):
        CRF(0)
    with pytest.raises(ShapeError, match=r"allowed has shape \(3, 3\), but 3 labels .* need \(5, 5\)"):
        CRF(3, np.ones((3, 3)))
    crf = CRF(3)
    with pytest.raises(OptionTypeError, match="takes a tensor of emissions, not list"):
        crf([[[0.0]]], torch.zeros(1, 1))
    with pytest.raises(ShapeError, match=r"num_labels=3, but got \(2, 2, 4\)"):
        crf(torch.zeros(2, 2, 4), torch.zeros(2, 2))
    with pytest.raises(ShapeError, match="do not fit"):
        crf(torch.zeros(2, 2, 3), torch.zeros(2, 1))
    with pytest.raises(ShapeError, match="at least one step"):
        crf.decode(torch.zeros(0, 2, 3))
    with pytest.raises(ShapeError, match="a length of 3 does not fit"):
        crf.decode(torch.zeros(2, 2, 3), lengths=[3, 1])
