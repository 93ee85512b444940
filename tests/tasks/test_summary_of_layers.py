"""The table of layers."""

import io
import json

import numpy as np
import pytest

from gatewise import Classifier, Generator
from gatewise.cli import main
from gatewise.errors import OptionError
from gatewise.tasks.summary import layers_table


@pytest.fixture(scope="module")
def generator():
    text = "an ant ate ten tea tins. " * 30
    return Generator(hidden_size=8, num_layers=2, embedding_size=6, epochs=0.2, threads=1).fit(io.StringIO(text))


def rows(text):
    """Name -> what follows it."""
    return {line.split()[0].rstrip(":"): line.split(None, 1)[1] for line in text.splitlines()[1:]}


def test_layers_weights_shapes_and_counts(generator, capsys):
    generator.summary()
    text = capsys.readouterr().out
    found = rows(text)
    assert found["embedding"].split() == ["Embedding,", "gives", "(...,", "6)", "48"]  # 8 characters
    # Of each of two layers 4 x 8 rows, of 6 or 8 inputs, of 8 recurrent ones, and of two biases.
    assert found["layers"].split() == [
        "Stack",
        "of",
        "lstm,",
        "gives",
        "(T,",
        "B,",
        "8)",
        f"{32 * (6 + 8 + 2 + 8 + 8 + 2):,}",
    ]
    assert found["weight_ih_l1"].split() == ["32", "x", "8"]
    assert found["output"].split()[-1] == str(8 * 8 + 8)
    count = sum(weight.numel() for weight in generator.model_.parameters())
    assert found["total"].split()[-1] == f"{count:,}"
    assert max(map(len, text.splitlines())) <= 80


def test_every_weight_is_counted_once():
    x = np.random.default_rng(0).normal(size=(40, 6, 2))
    model = Classifier(hidden_size=4, epochs=0.2, ensemble=2, threads=1).fit(x, (x[:, 0, 0] > 0).astype(int))
    from gatewise.tasks.summary import layers_of

    weights = {name: tuple(weight.shape) for name, weight in model.model_.named_parameters()}
    lines = layers_table(weights, layers_of(model.model_)).splitlines()
    layers = [int(line.split()[-1].replace(",", "")) for line in lines[1:-1] if not line.startswith("  ")]
    assert sum(layers) == sum(weight.numel() for weight in model.model_.parameters())


def test_info_lists_the_layers_of_a_file_without_torch(generator, tmp_path, capsys):
    generator.save(tmp_path / "m")
    capsys.readouterr()
    assert main(["info", str(tmp_path / "m"), "--layers"]) == 0
    found = rows(capsys.readouterr().out)
    count = sum(weight.numel() for weight in generator.model_.parameters())
    assert found["total"].split()[-1] == f"{count:,}"
    assert found["weight_ih_l0"].split() == ["32", "x", "6"]
    assert main(["info", str(tmp_path / "m"), "--layers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layers.weight_ih_l0"] == [32, 6]


def test_what_has_learned_nothing_has_no_layers():
    with pytest.raises(OptionError, match="learned nothing yet"):
        Generator().summary()


def test_a_weight_of_no_layer_and_one_of_no_dimension():
    text = layers_table({"moved": (3, 12), "scale": ()})
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["moved", "3", "x", "12", "36"],
        ["scale", "1", "1"],
        ["total", "148", "bytes", "37"],
    ]
