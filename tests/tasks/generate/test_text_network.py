"""The network of `generate` for text: its sizes, dropout, regularisers and state."""

import io
import math

import numpy as np
import pytest
import torch
from generate_examples import REGULARISED, TINY, fit, network, same, sizes, weights

from gatewise import bundle, cells
from gatewise.errors import ModelFileError, OptionError
from gatewise.tasks.generate.architecture import Regularisation
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text.network import LanguageModel
from gatewise.tasks.generate.text.predictor import Writer
from gatewise.training import history as metrics


def test_tied_weights_are_one_tensor_and_are_saved_once(rhyme, folder):
    generator = fit(rhyme, tie_weights=True)
    assert generator.model_.output.weight is generator.model_.embedding.weight
    generator.save("model")
    assert "output.weight" not in bundle.load("model").tensors
    loaded = Generator.load("model")
    assert same(weights(loaded), weights(generator))
    assert loaded.model_.output.weight is loaded.model_.embedding.weight
    assert sum(p.numel() for p in generator.model_.parameters()) == generator.sizing_.parameters


@pytest.mark.parametrize("options", [{}, {"cell": "gru", "num_layers": 2}, {"proj_size": 3}], ids=str)
def test_the_count_of_weights_is_right(rhyme, options):
    generator = fit(rhyme, **options)
    assert generator.sizing_.parameters == sum(p.numel() for p in generator.model_.parameters())


def test_sizes_that_cannot_be_tied(rhyme):
    with pytest.raises(OptionError, match=r"tie_weights needs embedding_size=8.* not 5"):
        fit(rhyme, tie_weights=True, embedding_size=5)
    assert not fit(rhyme, embedding_size=5).sizing_.tied
    assert not fit(rhyme, tie_weights=False).sizing_.tied


@pytest.mark.parametrize("variational", [True, False])
def test_dropout_masks(variational):
    model = network(dropout=0.5, variational=variational, H=64)
    dropped = model.layers.between_layers(torch.ones(20, 3, 64)) == 0
    assert 0.4 < dropped.float().mean() < 0.6
    assert bool((dropped == dropped[:1]).all()) is variational
    assert not (dropped[:, :1] == dropped).all()  # each row has its own mask
    model.eval()
    assert (model.layers.between_layers(torch.ones(20, 3, 64)) == 1).all()


def test_variational_dropout_still_learns_and_resumes_into_new_masks(rhyme):
    generator = fit(rhyme, dropout=0.4, variational_dropout=True, num_layers=2, epochs=1, hidden_size=16)
    assert generator.metrics_["test"]["loss"] < math.log(len(generator.vocabulary_))


@pytest.mark.parametrize("name", REGULARISED)
def test_each_regulariser_of_the_recurrence_changes_training_alone(name, rhyme):
    torch.manual_seed(0)
    batch = tuple(torch.randint(0, 11, (12, 3)) for _ in range(2))
    plain, model = (
        LanguageModel(cell=cells.find("lstm"), sizes=sizes(), regularisation=Regularisation(**o))
        for o in ({}, {name: 0.3})
    )
    model.load_state_dict(plain.state_dict())
    assert model.training_loss(batch) != plain.training_loss(batch)
    for one in (model, plain):
        one.eval().begin("validation")
    losses = [one.validation_sums(batch)[0] for one in (model, plain)]
    assert torch.equal(*losses) is (name != "zoneout")  # which has a mean to run by
    assert fit(rhyme, **{name: 0.3}).metrics_["test"]["loss"] < 4


def test_penalties_are_added_to_the_training_loss():
    batch = tuple(torch.randint(0, 11, (12, 3), generator=torch.Generator().manual_seed(1)) for _ in range(2))
    model = network(layers=1)
    loss = model.training_loss(batch)
    y, _ = model.layers(model.embedding(batch[0]))
    model.begin("train")
    model.activation_penalty, model.temporal_activation_penalty = 2.0, 3.0
    want = loss + 2 * y.square().mean() + 3 * (y[1:] - y[:-1]).square().mean()
    assert torch.allclose(model.training_loss(batch), want)


@pytest.mark.parametrize(
    "options", [{}, {"cell": "gru"}, {"proj_size": 4}, {"cell": "mlstm", "num_layers": 2}], ids=str
)
def test_what_zoneout_leaves_outside_training_is_in_the_model_file(options, rhyme, folder):
    text = rhyme[:1600]
    generator = Generator(**{**TINY, **REGULARISED, **options}).fit(io.StringIO(text), output="model")
    loaded = Generator.load("model")
    assert loaded.get_params() == generator.get_params() | {"cell": loaded.cell}
    assert loaded.evaluate(io.StringIO(text)) == generator.evaluate(io.StringIO(text))
    writer = Writer.load("model")
    writer.push("Peter")
    start = bundle.read_header("model").document["start"]  # a prompt is read after it
    ids = torch.tensor([start, *generator.vocabulary_.encode("Peter")])[:, None]
    with torch.no_grad():
        scores, _ = loaded.model_(ids)
    torch.testing.assert_close(torch.from_numpy(writer.state.scores), scores[-1, 0], rtol=1e-4, atol=1e-5)
    loaded.save("again")
    assert Generator.load("again").evaluate(io.StringIO(text)) == generator.evaluate(io.StringIO(text))


def test_a_cell_that_is_not_that_of_its_zoneout_is_refused(rhyme, folder):
    Generator(**TINY, zoneout=0.1).fit(io.StringIO(rhyme), output="model")
    found = bundle.load("model")
    found.document["options"]["zoneout"] = 0.2
    bundle.save("model", found.document, found.tensors)
    with pytest.raises(ModelFileError, match=r"is not the one that a zoneout of 0\.2 makes of it"):
        Generator.load("model")


def test_a_model_file_from_before_the_regularisers_loads(rhyme, folder):
    generator = Generator(**TINY).fit(io.StringIO(rhyme), output="model")
    found = bundle.load("model")
    assert "cell_without_zoneout" not in found.document
    for name in REGULARISED:
        del found.document["options"][name]
    bundle.save("model", found.document, found.tensors)
    assert Generator.load("model").get_params() == generator.get_params()


def test_the_forget_bias_lands_on_the_forget_gate():
    changed = {
        name: (network(bias=2.5).state_dict()[name] - start).nonzero().flatten().tolist()
        for name, start in network(bias=0.0).state_dict().items()
    }
    gates = {"layers.bias_ih_l0", "layers.bias_ih_l1"}  # blocks i f g o of 8 units
    assert {name for name, places in changed.items() if places} == gates
    assert all(changed[name] == list(range(8, 16)) for name in gates)
    added = network(bias=2.5).layers.bias_ih_l0 - network(bias=0.0).layers.bias_ih_l0
    assert torch.allclose(added[8:16], torch.tensor(2.5))
    for name, block in {"peephole": 1, "no_input_gate": 0, "minlstm": 1, "multiplicative_lstm": 1}.items():
        added = network(name, bias=2.5).layers.bias_ih_l0 - network(name, bias=0.0).layers.bias_ih_l0
        assert added.nonzero().flatten().tolist() == list(range(8 * block, 8 * block + 8)), name
    for name in ("minimal_gated", "coupled", "no_forget_gate"):  # where f is what is replaced, or there is none
        one, other = (network(name, bias=bias).layers.bias_ih_l0 for bias in (0.0, 2.5))
        assert torch.equal(one, other), name
    with_gru = [network("gru", bias=bias).state_dict() for bias in (0.0, 2.5)]
    assert same(*with_gru)


def test_the_state_goes_on_from_chunk_to_chunk(rhyme):
    model = network()
    ids = torch.randint(0, 11, (13, 2))
    with torch.no_grad():
        whole, _ = model(ids[:12])
        model.begin("train")
        parts = torch.cat([model._scores(ids[:5]), model._scores(ids[5:12])])
        assert torch.allclose(parts, whole.flatten(0, 1), atol=1e-6)
        model.begin("train")
        assert torch.equal(model._scores(ids[:5]), parts[:10])
    loss = model.training_loss((ids[:5], ids[1:6]))
    assert all(not tensor.requires_grad for tensor in model.carried)
    loss.backward()


def test_training_remembers_beyond_its_chunk(monkeypatch, folder):
    """The digit that ends a line stood at its beginning, for two chunks in three in the chunk before."""
    digits = np.random.default_rng(0).integers(0, 2, 700)
    text = "".join(f"{d}....{d}\n" for d in digits)  # one bit of news a line: 0.1 nats a character

    def train_loss():
        options = {"hidden_size": 16, "chunk_length": 8, "batch_size": 8, "epochs": 8, "learning_rate": 0.04}
        Generator(**options, dropout=0.0, patience=None).fit(io.StringIO(text), output="model")
        return metrics.read("model.metrics.jsonl")[-1]["train_loss"]

    remembering = train_loss()
    real = LanguageModel.training_loss
    monkeypatch.setattr(LanguageModel, "training_loss", lambda self, batch: self.begin("train") or real(self, batch))
    assert remembering < 0.125
    assert train_loss() > remembering + 0.05
