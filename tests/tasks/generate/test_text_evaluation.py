"""How well a language model predicts a text, held against plain torch."""

import io
import math

import pytest
import torch
from generate_examples import fit
from torch import nn
from torch.nn.functional import cross_entropy

from gatewise import bundle
from gatewise.errors import DataError, OptionError
from gatewise.tasks import verdict
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text.evaluation import evaluation_chunk_length, total_loss


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
    losses = [total_loss(trained._net, ids, 3, length) for length in (7, 1000)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0][1] == 3 * (300 - 1)


def test_few_steps_at_once_where_the_vocabulary_is_large():
    assert evaluation_chunk_length(32, 65) == 256
    assert evaluation_chunk_length(32, 50_000) * 32 * 50_000 <= 2**23
    assert evaluation_chunk_length(32, 10**7) == 1


def test_the_text_it_learned_from_is_measured_in_its_parts(trained, model_file, rhyme):
    for generator in (trained, Generator.load(model_file)):
        found = generator.evaluate(io.StringIO(rhyme))
        assert found.keys() == {"train", "validation", "test", "baselines", *verdict.KEYS}
        assert found == trained.metrics_


def test_score_of_any_text_is_minus_its_loss(trained, rhyme):
    other = rhyme[3:700]
    assert trained.score(io.StringIO(other)) == -trained.evaluate(io.StringIO(other))["all"]["loss"]
    assert -0.2 < trained.score(io.StringIO(rhyme)) < 0


def test_it_knows_the_rhyme_better_than_frequencies_and_5_gram(trained):
    held_out = trained.metrics_["test"]["bits_per_character"]
    plain = {name: found["bits_per_character"] for name, found in trained.metrics_["baselines"].items()}
    assert plain.keys() == {"frequencies", "5-gram", "Kneser-Ney", "xz"}
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
