"""The network of `translate`, compared with torch's own layers."""

import numpy as np
import pytest
import torch
from translate_examples import SOURCES, TARGETS

from gatewise import cells
from gatewise.errors import ShapeError
from gatewise.tasks.attention_decoder import DecoderOptions, DecoderStep
from gatewise.tasks.translate.architecture import architecture, encode
from gatewise.tasks.translate.batches import ScheduledSampling
from gatewise.tasks.translate.examples import PairBatches
from gatewise.tasks.translate.network import TranslationNetwork
from gatewise.tasks.translate.texts import padded


def network(attention="multiplicative", input_feeding=False, cell="lstm", layers=1, **options):
    torch.manual_seed(0)
    sizes = {"embedding_size": 6, "hidden_size": 8, "num_layers": layers}
    copying = options.get("copy_mechanism", False)
    options = {"attention": attention, "input_feeding": input_feeding, **sizes, **options}
    chosen = DecoderOptions(vocabulary_size=11 if copying else 9, **options)
    block = architecture(cells.find(cell), chosen, source_vocabulary_size=None if copying else 11)
    return TranslationNetwork(block).eval()


def tensors(batch):
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def torch_scores(model, source, inputs, attention):
    """The same with torch's own layers, one pair: log-probabilities (T, V)."""
    encoder = torch.nn.LSTM(6, 4, bidirectional=True)
    encoder.load_state_dict(model.encoder.state_dict())
    decoder = torch.nn.LSTM(6, 8)
    decoder.load_state_dict(model.layers.state_dict())
    y, (h, _) = encoder(6**0.5 * model.source_embedding(torch.from_numpy(source)))
    end = torch.cat([h[0], h[1]])
    first = tuple(torch.tanh(getattr(model.start, name)(end))[None] for name in "hc")
    q, _ = decoder(6**0.5 * model.embedding(torch.tensor(inputs)), first)
    own = model.attention
    if attention == "additive":
        scores = own.v(torch.tanh(own.W(q)[:, None] + own.U(y)[None]))[..., 0]
    elif attention == "multiplicative":
        scores = q @ own.W.weight @ y.T
    both = q if attention == "none" else torch.cat([scores.softmax(-1) @ y, q], -1)
    output = torch.tanh(model.combine(both))
    if model.gate is None:
        return model.output(output).log_softmax(-1)
    gate = model.gate(output).sigmoid()
    p = gate * model.output(output).softmax(-1)
    for place, token in enumerate(source):
        p[:, token] += (1 - gate[:, 0]) * scores.softmax(-1)[:, place]
    return p.log()


def every_log_p(model, batch):
    """Log-probabilities (T, B, V) with the target fed."""
    everywhere = {**batch, "targets": np.zeros_like(batch["targets"])}
    with torch.no_grad():
        return model.teacher_forced(tensors(everywhere))[0].log_softmax(-1).unflatten(0, batch["targets"].shape)


@pytest.mark.parametrize(
    ("attention", "copying"),
    [("additive", False), ("multiplicative", False), ("none", False), ("additive", True), ("multiplicative", True)],
)
def test_the_network_is_that_of_torchs_layers(attention, copying):
    model = network(attention, copy_mechanism=copying)
    batch = PairBatches(SOURCES, TARGETS, edge=8, batch_tokens=100).batch(np.arange(3))
    log_p = every_log_p(model, batch)
    total = 0.0
    for row, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        want = torch_scores(model, source, [8, *target], attention)
        torch.testing.assert_close(log_p[: len(want), row], want)
        total += torch.nn.functional.nll_loss(want, torch.tensor([*target, 8]), reduction="sum").item()
    nats, count = model.validation_sums(tensors(batch))
    assert (nats.item(), count) == (pytest.approx(total, rel=1e-5), 9)


@pytest.mark.parametrize("input_feeding", [False, True])
@pytest.mark.parametrize("attention", ["additive", "multiplicative", "none"])
@pytest.mark.parametrize(("cell", "layers"), [("lstm", 2), ("gru", 1), ("slstm", 1), ("mlstm", 1), ("peephole", 1)])
def test_one_token_at_a_time_is_the_same_as_all_at_once(cell, layers, attention, input_feeding):
    model = network(attention, input_feeding, cell, layers, copy_mechanism=attention == "additive")
    batch = PairBatches(SOURCES, TARGETS, edge=8, batch_tokens=100).batch(np.arange(3))
    want = every_log_p(model, batch)
    step, parents = DecoderStep(model.without_torch(), encode, padded(SOURCES), width=2), np.arange(3)
    for place in range(2):
        log_p, weights = step(batch["inputs"][place], parents)
        going = batch["target_lengths"] > place
        np.testing.assert_allclose(log_p[going], want[place, going], atol=2e-6)
        if attention != "none":
            np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
            assert all((row[len(source) :] == 0).all() for row, source in zip(weights, SOURCES, strict=True))
    # The middle row goes on alone, twice, and then in another order with the last.
    log_p, _ = step(batch["inputs"][2][[1, 1]], np.array([1, 1]))
    np.testing.assert_allclose(log_p, want[2, [1, 1]], atol=2e-6)
    log_p, _ = step(batch["inputs"][3][[1]], np.array([1]))
    np.testing.assert_allclose(log_p, want[3, [1]], atol=2e-6)
    if attention != "none":
        with pytest.raises(ShapeError, match="3 rows, but at most 2"):
            step(np.ones(3, int), np.zeros(3, int))


def test_a_decoder_that_is_fed_its_own_tokens_learns_from_the_targets_all_the_same():
    model = network().train()
    batches = ScheduledSampling(PairBatches(SOURCES, TARGETS, edge=8, batch_tokens=100), 1.0, 4)
    assert [batches.at(step)["sampling"] for step in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    model.training_loss(batches.at(3)).backward()
    assert all(weight.grad is not None for weight in model.parameters())
    torch.manual_seed(1)
    fed = model.training_loss({**batches.at(0), "sampling": 1e-9}).item()  # the loop of single steps, but never its own
    assert fed == pytest.approx(model.training_loss(batches.at(0)).item(), rel=1e-5)
    assert model.training_loss({**batches.at(0), "sampling": 1.0}).item() != pytest.approx(fed, rel=1e-3)
