"""The estimator `Generator`, held against plain torch and against the laws that a language model obeys."""

import io
import math
import signal

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gatewise import bundle, cells
from gatewise.algebra import cell, sigmoid, tanh
from gatewise.decoding import Sampler
from gatewise.errors import DataError, GatewiseError, ModelFileError, OptionError
from gatewise.tasks.generate import estimator as generate
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.network import Regularisation
from gatewise.tasks.generate.text import corpus as _corpus
from gatewise.tasks.generate.text import evaluation as _measuring
from gatewise.tasks.generate.text import sizing as _sizing
from gatewise.tasks.generate.text.batches import evaluation_chunk_length
from gatewise.tasks.generate.text.evaluation import total_loss
from gatewise.tasks.generate.text.network import LanguageModel
from gatewise.tasks.generate.text.predictor import Writer
from gatewise.tasks.generate.text.sizing import Sizing, check_memory, sizing
from gatewise.training import TrainingStopped
from gatewise.training import history as metrics
from gatewise.training.memory import free_memory

TINY = {"hidden_size": 8, "batch_size": 2, "chunk_length": 16, "epochs": 0.05}
CHINESE = "白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。\n" * 40


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(text, **options):
    return Generator(**{**TINY, **options}).fit(io.StringIO(text))


def network(cell="lstm", V=11, E=5, H=8, layers=2, proj=0, dropout=0.0, variational=False, tied=False, bias=1.0):
    torch.manual_seed(0)
    regularisation = Regularisation(variational=variational, forget_bias=bias)
    return LanguageModel(
        cell=cells.find(cell), sizes=sizes(V, E, H, layers, proj, dropout, tied), regularisation=regularisation
    )


def sizes(V=11, E=5, H=8, layers=2, proj=0, dropout=0.0, tied=False):
    return Sizing(
        vocabulary_size=V,
        embedding_size=E,
        hidden_size=H,
        num_layers=layers,
        proj_size=proj,
        dropout=dropout,
        learning_rate=0.01,
        epochs=1,
        batch_size=1,
        chunk_length=1,
        parameters=0,
        tied=tied,
    )


def weights(generator):
    return {name: tensor.clone() for name, tensor in generator.model_.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- measuring --------------------------------------------------------------------------------------------------------


def independent_loss(path, ids, kind):
    """Nats per token of one text, read at once by torch's own layers with the tensors of a model file."""
    found = bundle.load(path)
    sizes, tensors = found.document["sizes"], {k: torch.from_numpy(v) for k, v in found.tensors.items()}
    options = {"num_layers": sizes["num_layers"]} | ({"proj_size": sizes["proj_size"]} if kind is nn.LSTM else {})
    layers = kind(sizes["embedding_size"], sizes["hidden_size"], **options)
    layers.load_state_dict({k.removeprefix("layers."): v for k, v in tensors.items() if k.startswith("layers.")})
    ids = torch.from_numpy(ids)
    with torch.no_grad():
        y, _ = layers(tensors["embedding.weight"][ids[:-1]])
        scores = y @ tensors.get("output.weight", tensors["embedding.weight"]).T + tensors["output.bias"]
        return float(cross_entropy(scores, ids[1:]))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.LSTM, {"num_layers": 2}),
        (nn.LSTM, {"tie_weights": True}),
        (nn.LSTM, {"proj_size": 5}),
        (nn.GRU, {"cell": "gru"}),
    ],
    ids=["lstm", "tied", "lstmp", "gru"],
)
def test_the_loss_is_that_of_plain_torch_with_the_tensors_of_the_file(kind, options, rhyme, folder):
    generator = fit(rhyme, epochs=0.5, **options)
    generator.save("model")
    other = rhyme[60:760]
    assert generator.evaluate(io.StringIO(other))["all"]["loss"] == pytest.approx(
        independent_loss("model", generator.vocabulary_.encode(other), kind), rel=1e-5
    )


def test_the_test_loss_is_that_of_the_text_behind_the_two_borders(trained, model_file, rhyme):
    first, second = round(len(rhyme) * 0.9), round(len(rhyme) * 0.95)
    for part, text in (("validation", rhyme[first:second]), ("test", rhyme[second:]), ("train", rhyme[:first][-1000:])):
        ids = trained.vocabulary_.encode(text)
        want = independent_loss(model_file, ids, nn.LSTM)
        assert trained.metrics_[part]["loss"] == pytest.approx(want, rel=1e-4, abs=1e-5)
        assert (trained.metrics_[part]["tokens"], trained.metrics_[part]["characters"]) == (len(ids) - 1, len(ids))


def test_units(trained):
    for part in ("train", "validation", "test"):
        found = trained.metrics_[part]
        assert found["bits_per_token"] == found["bits_per_character"] == pytest.approx(found["loss"] / math.log(2))
        assert found["perplexity"] == pytest.approx(2 ** found["bits_per_token"])


def test_the_cut_into_chunks_does_not_show(trained, rhyme):
    ids = trained.vocabulary_.encode(rhyme[:900])
    losses = [total_loss(trained.model_, ids, 3, length) for length in (7, 1000)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0][1] == 3 * (300 - 1)


def test_few_steps_at_once_where_the_vocabulary_is_large():
    assert evaluation_chunk_length(32, 65) == 256
    assert evaluation_chunk_length(32, 50_000) * 32 * 50_000 <= 2**23
    assert evaluation_chunk_length(32, 10**7) == 1


def test_the_text_it_learned_from_is_measured_in_its_parts(trained, model_file, rhyme):
    for generator in (trained, Generator.load(model_file)):
        found = generator.evaluate(io.StringIO(rhyme))
        assert found.keys() == {"train", "validation", "test", "baselines"}
        assert found == trained.metrics_


def test_score_of_any_text_is_minus_its_loss(trained, rhyme):
    other = rhyme[3:700]
    assert trained.score(io.StringIO(other)) == -trained.evaluate(io.StringIO(other))["all"]["loss"]
    assert -0.2 < trained.score(io.StringIO(rhyme)) < 0


def test_it_knows_the_rhyme_better_than_frequencies_and_5_gram(trained):
    held_out = trained.metrics_["test"]["bits_per_character"]
    plain = {name: found["bits_per_character"] for name, found in trained.metrics_["baselines"].items()}
    assert plain.keys() == {"frequencies", "5-gram", "xz"}
    assert held_out < plain["5-gram"] < plain["frequencies"]


def test_skipped_characters_count_for_nothing(trained, rhyme):
    text = rhyme[:500]
    odd = text.replace("peck", "péck")
    with pytest.raises(DataError, match=r"'é'.*unknown='skip'"):
        trained.evaluate(io.StringIO(odd))
    found = trained.evaluate(io.StringIO(odd), unknown="skip")
    assert found["all"].pop("skipped_characters") == text.count("peck")
    assert found == trained.evaluate(io.StringIO(text.replace("peck", "pck")))
    assert "skipped_characters" not in trained.evaluate(io.StringIO(text), unknown="skip")["all"]
    with pytest.raises(OptionError, match="unknown is 'x'"):
        trained.evaluate(io.StringIO(text), unknown="x")


@pytest.mark.parametrize("text", ["a", "é"])
def test_nothing_to_measure(trained, text):
    with pytest.raises(DataError, match="at least 2 are needed"):
        trained.evaluate(io.StringIO(text), unknown="skip")


# --- the network ------------------------------------------------------------------------------------------------------


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


REGULARISED = {
    "recurrent_dropout": 0.2,
    "zoneout": 0.1,
    "weight_dropout": 0.3,
    "activation_penalty": 2.0,
    "temporal_activation_penalty": 1.0,
}


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
    generator = Generator(**{**TINY, **REGULARISED, **options}).fit(io.StringIO(rhyme), output="model")
    loaded = Generator.load("model")
    assert loaded.get_params() == generator.get_params() | {"cell": loaded.cell}
    assert loaded.evaluate(io.StringIO(rhyme)) == generator.evaluate(io.StringIO(rhyme))
    writer = Writer.load("model")
    writer.push("Peter")
    ids = torch.from_numpy(np.asarray(generator.vocabulary_.encode("Peter"))).long()[:, None]
    with torch.no_grad():
        scores, _ = loaded.model_(ids)
    torch.testing.assert_close(torch.from_numpy(writer.state.scores), scores[-1, 0], rtol=1e-4, atol=1e-5)
    loaded.save("again")
    assert Generator.load("again").evaluate(io.StringIO(rhyme)) == generator.evaluate(io.StringIO(rhyme))


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


# --- seeds, files -----------------------------------------------------------------------------------------------------


def test_a_seed_decides_everything_and_the_callers_draws_go_on(rhyme):
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    one = fit(rhyme, epochs=0.3, dropout=0.2, seed=1)
    assert torch.equal(torch.rand(3), want)
    two, other = fit(rhyme, epochs=0.3, dropout=0.2, seed=1), fit(rhyme, epochs=0.3, dropout=0.2, seed=2)
    assert same(weights(one), weights(two))
    assert one.metrics_ == two.metrics_
    assert not same(weights(one), weights(other))


def test_a_saved_model_is_the_model(trained, model_file, rhyme, folder):
    loaded = Generator.load(model_file)
    assert same(weights(loaded), weights(trained))
    assert loaded.metrics_ == trained.metrics_
    assert loaded.get_params() == trained.get_params()
    assert repr(loaded) == repr(trained)
    assert loaded.sizing_ == trained.sizing_
    assert loaded.vocabulary_ == trained.vocabulary_
    other = rhyme[11:511]
    assert loaded.evaluate(io.StringIO(other)) == trained.evaluate(io.StringIO(other))
    assert list(loaded.sample("A ", 50)) == list(trained.sample("A ", 50))
    loaded.save("again")
    assert bundle.load("again").document == bundle.load(model_file).document


def test_a_loaded_model_can_learn_anew(model_file, rhyme):
    again = Generator.load(model_file).set_params(epochs=0.05)
    assert again.fit(io.StringIO(rhyme)).outcome_.step > 0


def test_a_cell_of_ones_own(rhyme, folder):
    @cell(carry="h", pack="z n", source="this test")
    def light(x, h_prev, W, U, b):
        z = sigmoid(W.z @ x + U.z @ h_prev + b.z)
        n = tanh(W.n @ x + b.n)
        h = (1 - z) * h_prev + z * n
        return h

    generator = fit(rhyme, cell=light, epochs=0.5)
    generator.save("model")
    loaded = Generator.load("model")
    assert loaded.cell.equations == light.equations
    assert "".join(loaded.sample("A ", 30)) == "".join(generator.sample("A ", 30))
    assert loaded.metrics_ == generator.metrics_


@pytest.mark.parametrize("kind", ["path", "list", "open file", "text"])
def test_ways_to_give_text(kind, rhyme, folder):
    (folder / "one.txt").write_text(rhyme)
    (folder / "two.txt").write_text(rhyme)
    given = {
        "path": folder / "one.txt",
        "list": [folder / "one.txt", "two.txt"],
        "open file": open("one.txt"),  # noqa: SIM115
        "text": io.StringIO(rhyme),
    }
    generator = Generator(**TINY).fit(given[kind])
    given["open file"].close()
    data = bundle.load(generator.save("model") or "model").document["training"]["data"]
    assert data["characters"] == len(rhyme) * (2 if kind == "list" else 1)
    assert data["name"] == {
        "path": str(folder / "one.txt"),
        "list": f"{folder}/one.txt, two.txt",
        "open file": "one.txt",
        "text": "text",
    }.get(kind)


def test_the_order_of_a_text_is_kept(monkeypatch):
    """Each split is one piece, and in their order they are the text."""
    text = "".join(chr(0x4E00 + n) for n in range(1000))
    seen = {}
    monkeypatch.setattr(generate, "check_length", lambda chosen, lengths, shares: seen.update(lengths) or 1 / 0)
    generator = Generator(**TINY, split=(0.5, 0.3, 0.2))
    with pytest.raises(ZeroDivisionError):
        generator.fit(io.StringIO(text))
    vocabulary = _corpus.learn_vocabulary(text, "characters", generator.split, None, 1)
    corpus = _corpus.split_text(text, "", generator.split, vocabulary)
    assert "".join(corpus.texts.values()) == text
    assert vocabulary.decode(np.concatenate(list(corpus.ids.values()))) == text
    assert seen == {"train": 500, "validation": 300, "test": 200}


def test_without_a_test_part_the_baselines_are_of_the_validation_part(rhyme):
    found = fit(rhyme, split=(0.9, 0.1, 0)).metrics_
    assert found.keys() == {"train", "validation", "baselines"}


# --- other tokens and scripts -----------------------------------------------------------------------------------------


def test_words_end_to_end(rhyme, folder):
    generator = fit(rhyme, tokens="words", epochs=20, learning_rate=0.05, hidden_size=16)
    generator.save("model")
    loaded = Generator.load("model")
    found = loaded.metrics_["test"]
    assert "unknown_tokens" not in found
    tokens = generator.vocabulary_.encode(rhyme[round(0.95 * len(rhyme)) :])
    assert found["tokens"] == len(tokens) - 1
    assert found["bits_per_character"] == pytest.approx(found["loss"] / math.log(2) * len(tokens) / found["characters"])
    for prompt in ("A peck", "A peck "):
        written = prompt + "".join(loaded.sample(prompt, 12, temperature=0.01))
        assert written.startswith("A peck of pickled peppers")
    assert "".join(loaded.sample("", 3, temperature=0.01))[0] != " "


def test_words_that_it_does_not_know(rhyme):
    generator = fit(rhyme, tokens="words", vocabulary_size=8, epochs=3, learning_rate=0.05)
    assert len(generator.vocabulary_) == 8
    for found in (generator.metrics_["test"], generator.evaluate(io.StringIO(rhyme[:300]))["all"]):
        assert found["bits_per_character"] is None
        assert found["unknown_tokens"] > 0
        assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    written = "".join(generator.sample("peppers xyzzy", 300, temperature=2.0))
    assert not {"<pad>", "<unk>"} & set(written.split())
    writer = generator.writer()
    assert "<" not in "".join(writer.write("", 300))  # without a sampler, too


def test_byte_pairs_end_to_end(rhyme, folder):
    pytest.importorskip("tokenizers")
    text = rhyme + CHINESE
    generator = fit(text, tokens="byte-pairs", vocabulary_size=300, epochs=1)
    assert len(generator.vocabulary_) <= 300
    assert generator.metrics_["test"]["bits_per_character"] is not None
    generator.save("model")
    loaded = Generator.load("model")
    assert "".join(loaded.sample("白日", 40)) == "".join(generator.sample("白日", 40))
    assert "".join(loaded.sample("never seen: é🙂", 5))
    found = loaded.evaluate(io.StringIO("other text, é🙂"))["all"]
    assert found["characters"] == 14


def test_byte_pairs_go_on_in_the_middle_of_a_character():
    pytest.importorskip("tokenizers")
    generator = fit(CHINESE, tokens="byte-pairs", vocabulary_size=256, epochs=6, learning_rate=0.05, hidden_size=32)
    once = "".join(generator.writer().write("", 90, Sampler(0.5)))
    assert any("\u4e00" <= c <= "\u9fff" for c in once)
    writer, sampler = generator.writer(), Sampler(0.5)
    assert "".join("".join(writer.write("", 1, sampler)) for _ in range(90)) == once


def test_chinese_end_to_end(folder):
    generator = fit(CHINESE, hidden_size=24, epochs=20, learning_rate=0.04, batch_size=4)
    assert generator.metrics_["test"]["loss"] < 0.5
    generator.save("model")
    assert "".join(Generator.load("model").sample("白日", 10, temperature=0)) == "依山尽，黄河入海流。"


@pytest.mark.parametrize("options", [{"cell": "gru"}, {"cell": "lstmp", "proj_size": 6}], ids=str)
def test_other_cells_end_to_end(options, rhyme, folder):
    generator = fit(rhyme, **{**options, "epochs": 2, "hidden_size": 24, "learning_rate": 0.03})
    assert generator.metrics_["test"]["loss"] < 2
    generator.save("model")
    loaded = Generator.load("model")
    assert loaded.metrics_ == generator.metrics_
    assert same(weights(loaded), weights(generator))
    written = "".join(loaded.sample("If ", 40, temperature=0))
    assert written == "".join(Writer.load("model").write("If ", 40, Sampler(0)))


@pytest.mark.parametrize("name", [name for name in cells.NAMES if name not in ("lstm", "gru", "lstmp")])
def test_every_cell_of_the_family_learns_and_writes(name, rhyme, folder):
    options = {"hidden_size": 12, "batch_size": 8, "chunk_length": 20, "learning_rate": 0.05}
    generator = fit(rhyme, **{**options, "cell": name, "epochs": 3})
    frequencies = generator.metrics_["baselines"]["frequencies"]["bits_per_character"]
    assert generator.metrics_["train"]["bits_per_character"] < frequencies
    generator.save("model")
    assert "".join(Generator.load("model").sample("If ", 20, temperature=0)) == "".join(
        Writer.load("model").write("If ", 20, Sampler(0))
    )


# --- the estimator's contract -----------------------------------------------------------------------------------------


def test_options_are_kept_as_they_were_given():
    """What scikit-learn's `clone` checks: the constructor stores each option, untouched."""
    usual = Generator().get_params()
    given = {name: object() for name in usual}
    kept = Generator(**given).get_params()
    assert kept.keys() == usual.keys()
    assert all(kept[name] is given[name] for name in given)


def test_a_clone_is_equal_and_apart(trained):
    clone = type(trained)(**trained.get_params())
    assert clone.get_params() == trained.get_params()
    assert not hasattr(clone, "model_")


def test_set_params_and_repr():
    generator = Generator(hidden_size=8)
    assert generator.set_params(seed=4, cell="gru") is generator
    assert repr(generator) == "Generator(cell='gru', hidden_size=8, seed=4)"
    assert eval(repr(generator)).get_params() == generator.get_params()
    with pytest.raises(OptionError, match=r"no option named 'hiden_size'. Did you mean 'hidden_size'?"):
        generator.set_params(hiden_size=3)


@pytest.mark.parametrize(
    "use",
    [
        lambda g: g.sample("a"),
        lambda g: g.writer(),
        lambda g: g.save("model"),
        lambda g: g.evaluate(io.StringIO("abc")),
        lambda g: g.score(io.StringIO("abc")),
    ],
)
def test_nothing_works_before_fit(use, folder):
    with pytest.raises(OptionError, match="has learned nothing yet"):
        use(Generator())
    assert not list(folder.iterdir())


def test_numbers_of_numpy_are_numbers(rhyme, folder):
    options = {
        "hidden_size": np.int64(8),
        "seed": np.int32(3),
        "learning_rate": np.float32(0.01),
        "clip": np.float64(1),
    }
    generator = Generator(**{**TINY, **options}).fit(io.StringIO(rhyme), output="model")
    assert Generator.load("model").hidden_size == 8
    assert generator.outcome_.reason == "finished"


# --- mistakes ---------------------------------------------------------------------------------------------------------

IMPOSSIBLE = {
    "activation_penalty": [-1, "a", math.nan, math.inf, None, True],
    "batch_size": [0, -1, 2.0, "a", True, math.nan],
    "cell": [3, None, "lstn", "gru2"],
    "chunk_length": [0, -5, 1.5, "a", False],
    "clip": [0, -1.0, "a", math.inf, math.nan],
    "dropout": [1, -0.1, "a", True, math.nan],
    "embedding_size": [0, -1, "a", 1.5, True],
    "columns": ["x", ("x", "y")],
    "key": ["who"],
    "time": ["when"],
    "mixtures": [0, -1, "a", 1.5, True, 1001, 5],
    "epochs": [0, -1, "a", math.nan, math.inf, True],
    "forget_bias": ["a", math.nan, None, 1e9],
    "hidden_size": [0, -1, "a", 1.5, True, math.nan, 10**40],
    "learning_rate": [0, -1, "a", 11, 1e30, math.nan, True],
    "min_frequency": [0, "a", 1.5, 2],
    "num_layers": [0, -1, "a", 1.5, True, 10**6],
    "patience": [0, -1, 1.5, "a"],
    "preset": ["smal", 3, []],
    "proj_size": [-1, 8, 1.5, "a", True, None],
    "recurrent_dropout": [1, -0.1, "a", None, True, math.nan],
    "seed": [-1, 1.5, "a", None, 2**64],
    "split": [5, "abc", (0.9, 0.1), (1.0, 0.5, 0.5), (0, 0.5, 0.5), (1.1, -0.05, -0.05), (math.nan, 0.1, 0.1)],
    "temporal_activation_penalty": [-1, "a", math.nan, math.inf, None, True],
    "threads": [0, -1, 1.5, "a", True, 10**6],
    "tie_weights": ["a", 1, 0],
    "tokens": ["letters", 5, [], None],
    "variational_dropout": ["a", None, 2],
    "vocabulary_size": [0, "a", 100],
    "weight_decay": [-1, "a", math.nan, None],
    "weight_dropout": [1, -0.1, "a", None, True, math.nan],
    "zoneout": [1, -0.1, "a", None, True, (0.1, 0.2)],
}


def test_every_option_has_its_impossible_values():
    assert IMPOSSIBLE.keys() == Generator().get_params().keys()


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, values in IMPOSSIBLE.items() for v in values], ids=lambda v: f"{v!r:.12}"
)
def test_impossible_options(name, value, rhyme, folder):
    with pytest.raises(OptionError) as caught:
        Generator(**{**TINY, name: value}).fit(io.StringIO(rhyme), output="model")
    message = str(caught.value)
    assert "\n" not in message
    assert {"preset": "preset", "tokens": "kind of tokens", "cell": "cell"}.get(name, name) in message
    if name != "split" and not isinstance(value, list):
        kept_all = name in ("vocabulary_size", "min_frequency") and "kept all" in message
        assert kept_all or str(value)[:40] in message
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokens": "words", "vocabulary_size": 2}, "vocabulary_size must be a whole number, 3 or more, not 2"),
        ({"tokens": "byte-pairs", "vocabulary_size": 99}, "vocabulary_size must be a whole number, 256 or more"),
        ({"tokens": "words", "min_frequency": 10**6}, "no word occurs 1000000 times or more"),
        ({"cell": "gru", "proj_size": 3}, "proj_size is 3, but the cell 'gru' has no projection"),
        ({"cell": "lstmp"}, "the cell 'lstmp' projects its output: give it a proj_size"),
        ({"split": (1, 0, 0)}, "the validation part of the text has 0 tokens, but at least 2 are needed"),
        ({"split": (0.9999, 0.00005, 0.00005)}, "or raise the validation share of split (now 0.9999, 5e-05, 5e-05)"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_options_that_do_not_go_together(options, said, rhyme, folder):
    with pytest.raises(GatewiseError) as caught:
        Generator(**{**TINY, **options}).fit(io.StringIO(rhyme), output="model")
    assert said in str(caught.value)
    assert not list(folder.iterdir())


def test_a_text_shorter_than_one_chunk(folder):
    with pytest.raises(DataError) as caught:
        Generator(hidden_size=8).fit(io.StringIO("To be, or not to be"), output="model")
    assert str(caught.value) == (
        "the text is too short: its training part has 17 tokens, but one chunk of 1 x 64 steps needs 65. "
        "Give more text, or lower chunk_length (now 64)"
    )
    assert not list(folder.iterdir())
    text = "abcdefgh" * 10
    fitted = Generator(hidden_size=8, batch_size=4, chunk_length=17, split=(0.9, 0.1, 0)).fit(io.StringIO(text))
    assert fitted.sizing_.batch_size * (fitted.sizing_.chunk_length + 1) == 72  # exactly enough
    with pytest.raises(
        DataError, match=r"has 72 tokens.* 4 x 18 steps needs 76.*chunk_length .* or batch_size \(now 4"
    ):
        Generator(hidden_size=8, batch_size=4, chunk_length=18, split=(0.9, 0.1, 0)).fit(io.StringIO(text))


@pytest.mark.parametrize("data", [5, None, [], ["a", 5], b"abc", "no such file", io.BytesIO(b"abc"), io.StringIO("")])
def test_what_is_no_text(data, folder):
    with pytest.raises(DataError):
        Generator(**TINY).fit(data, output="model")
    assert not list(folder.iterdir())


def test_too_large_for_memory(monkeypatch, rhyme, folder):
    monkeypatch.setattr(_sizing, "free_memory", lambda: 1_000_000)
    with pytest.raises(OptionError) as caught:
        Generator(hidden_size=2000).fit(io.StringIO(rhyme), output="model")
    assert "needs about 4" in str(caught.value)
    assert "MB of memory, but 1 MB are free. Lower hidden_size (now 2000), num_layers, batch" in str(caught.value)
    assert not list(folder.iterdir())
    monkeypatch.setattr(_sizing, "free_memory", lambda: None)  # a system that does not tell
    fit(rhyme)


def test_free_memory_is_known_here():
    free = free_memory()
    assert free is None or 10**6 < free < 10**15


# --- interruptions ----------------------------------------------------------------------------------------------------


def interrupt_at(monkeypatch, step, act):
    """Do something in the training step of this number."""
    real, calls = LanguageModel.training_loss, []

    def training_loss(self, batch):
        calls.append(None)
        if len(calls) == step:
            act()
        return real(self, batch)

    monkeypatch.setattr(LanguageModel, "training_loss", training_loss)


@pytest.fixture
def ctrl_c():
    """Python's own handler, which tests that run in the background lack."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("more", [{}, REGULARISED], ids=["plain", "regularised"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_model_and_a_checkpoint_from_which_it_goes_on(
    number, more, monkeypatch, ctrl_c, rhyme, folder
):
    options = {**TINY, "epochs": 0.5, "dropout": 0.2, **more}
    whole = Generator(**options).fit(io.StringIO(rhyme), output="whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 17, lambda: signal.raise_signal(number))
        stopped = Generator(**options).fit(io.StringIO(rhyme), output="model")
    assert (stopped.outcome_.reason, stopped.outcome_.step) == ("interrupted", 17)
    assert sorted(p.name for p in folder.iterdir()) == [
        *("model", "model.checkpoint", "model.metrics.jsonl", "whole", "whole.metrics.jsonl")
    ]
    assert "".join(Generator.load("model").sample("A ", 5))
    assert "baselines" not in stopped.metrics_
    resumed = Generator(**options).fit(io.StringIO(rhyme), output="model", resume=True)
    assert same(weights(resumed), weights(whole))
    assert resumed.metrics_ == whole.metrics_
    assert not (folder / "model.checkpoint").exists()


def test_a_second_ctrl_c_leaves_the_checkpoint(monkeypatch, ctrl_c, rhyme, folder):
    interrupt_at(monkeypatch, 17, lambda: (ctrl_c(), ctrl_c()))
    with pytest.raises(KeyboardInterrupt):
        Generator(**{**TINY, "epochs": 0.5}).fit(io.StringIO(rhyme), output="model")
    assert sorted(p.name for p in folder.iterdir()) == ["model.checkpoint", "model.metrics.jsonl"]


def test_ctrl_c_while_measuring_keeps_what_was_learned(monkeypatch, rhyme, folder):
    def never_ending(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_measuring.baselines, "xz_bits", never_ending)
    with pytest.raises(KeyboardInterrupt):
        Generator(**TINY).fit(io.StringIO(rhyme), output="model")
    assert sorted(p.name for p in folder.iterdir()) == ["model", "model.checkpoint", "model.metrics.jsonl"]
    assert Generator.load("model").metrics_ == {}
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    resumed = Generator(**TINY).fit(io.StringIO(rhyme), output="model", resume=True)
    assert resumed.metrics_.keys() == {"train", "validation", "test", "baselines"}


def test_a_loss_that_is_no_number_leaves_the_best_weights(monkeypatch, rhyme, folder):
    real = LanguageModel.training_loss
    calls = []

    def training_loss(self, batch):
        calls.append(None)
        return real(self, batch) * (math.nan if len(calls) == 30 else 1)

    monkeypatch.setattr(LanguageModel, "training_loss", training_loss)
    with pytest.raises(TrainingStopped) as caught:
        Generator(**{**TINY, "epochs": 0.5}).fit(io.StringIO(rhyme), output="model")
    message = str(caught.value)
    assert "the loss became nan at step 30" in message
    assert "last good checkpoint is model.checkpoint (step 2" in message
    assert message.endswith("The best weights so far are in model.")
    assert caught.value.outcome.step == 29
    assert Generator.load("model").metrics_["test"]["loss"] < 4


def test_nothing_learned_is_nothing_kept(monkeypatch, rhyme, folder):
    monkeypatch.setattr(LanguageModel, "training_loss", lambda self, batch: self.output.bias.sum() * math.nan)
    with pytest.raises(TrainingStopped, match="before anything was learned"):
        Generator(**TINY).fit(io.StringIO(rhyme), output="model")
    assert not (folder / "model").exists()


@pytest.mark.parametrize("change", [{"hidden_size": 9}, {"seed": 1}, {"dropout": 0.11}, {"text": "x"}], ids=str)
def test_resuming_something_else(change, monkeypatch, ctrl_c, rhyme, folder):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, ctrl_c)
        fit_into("model", rhyme)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    text = rhyme + change.get("text", "")
    with pytest.raises(
        ModelFileError, match=r"cannot resume from model.checkpoint, which was made differently"
    ) as caught:
        fit_into("model", text, resume=True, **{k: v for k, v in change.items() if k != "text"})
    assert (*change, "")[0].replace("text", "data") in str(caught.value)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def fit_into(path, text, resume=False, **options):
    return Generator(**{**TINY, "epochs": 0.5, **options}).fit(io.StringIO(text), output=path, resume=resume)


def test_resuming_nothing(rhyme, folder):
    with pytest.raises(ModelFileError, match=r"there is no checkpoint at model.checkpoint"):
        fit_into("model", rhyme, resume=True)
    with pytest.raises(OptionError, match="resume goes on from the checkpoint beside the output"):
        Generator(**TINY).fit(io.StringIO(rhyme), resume=True)
    assert not list(folder.iterdir())


# --- sizes ------------------------------------------------------------------------------------------------------------


def sized(tokens, vocabulary_size=70, **options):
    return sizing(Generator(**options), cells.find("lstm"), tokens, vocabulary_size)


def test_more_text_more_model():
    found = [sized(n) for n in (5_000, 50_000, 200_000, 1_000_000, 5_000_000, 50_000_000)]
    for name in ("hidden_size", "num_layers", "batch_size", "parameters", "chunk_length"):
        values = [getattr(one, name) for one in found]
        assert values == sorted(values), name
    for name in ("epochs", "dropout", "learning_rate"):
        values = [getattr(one, name) for one in found]
        assert values == sorted(values, reverse=True), name
    limits = [row.tokens for row in _sizing.ROWS]
    assert limits == sorted(limits)
    assert limits[-1] == math.inf


@pytest.mark.parametrize("tokens", [5_000, 50_000, 1_000_000, 50_000_000])
def test_any_amount_of_text_gets_a_sensible_training(tokens):
    chosen = sized(tokens)
    steps = tokens * chosen.epochs / (chosen.batch_size * chosen.chunk_length)
    assert 200 < steps < 25_000
    assert chosen.batch_size * (chosen.chunk_length + 1) <= tokens / 5
    assert 32 <= chosen.hidden_size <= 1024
    # Two flops per weight and token forward, twice that backward; two cores do some 200 GFLOP/s.
    assert 6 * chosen.parameters * tokens * chosen.epochs / 2e11 < 4 * 3600
    check_memory(chosen, tokens)


@pytest.mark.parametrize("tokens", range(65, 4000, 131))
def test_a_text_of_one_chunk_or_more_is_never_too_short_by_default(tokens):
    chosen = sized(tokens)
    assert chosen.batch_size * (chosen.chunk_length + 1) <= tokens


def test_presets():
    small, medium, large, usual = (sized(1_000_000, preset=p) for p in ("small", "medium", "large", None))
    assert medium == usual
    assert small.hidden_size < medium.hidden_size < large.hidden_size
    assert small.epochs < medium.epochs < large.epochs
    assert sized(1_000_000, preset="small", hidden_size=77).hidden_size == 77


def test_words_share_their_table_with_the_scores():
    assert sized(1_000_000, 10_000).tied
    assert not sized(1_000_000, 100).tied
