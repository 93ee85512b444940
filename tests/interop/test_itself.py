"""What is written for another library is compared with the model itself, not only with the chain made of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from moods import classifier

import gatewise
from gatewise.cli import main
from gatewise.interop import exporting
from gatewise.interop.chain import Chain
from gatewise.interop.exporting import export_chain
from gatewise.interop.itself import prove_chain

MODELS = Path(__file__).parents[1] / "tasks" / "models"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model of text, and a classifier with a temperature of its own."""
    folder = tmp_path_factory.mktemp("models")
    return {"classify": classifier(folder), "generate": MODELS / "generate_words.model"}


def spoiled(chain):
    """The same with one weight changed by a thousandth."""
    layers = [*chain.layers]
    name, array = next((name, array) for name, array in layers[-1].weights.items() if name == "weight")
    changed = array.copy()
    changed[0, 0] += 1e-3
    layers[-1] = replace(layers[-1], weights={**layers[-1].weights, name: changed})
    return Chain(tuple(layers), chain.source)


@pytest.mark.parametrize("name", ["classify", "generate"])
def test_a_chain_that_is_not_the_model_is_refused(name, models, tmp_path, monkeypatch, capsys):
    assert export_chain(models[name], "torch", tmp_path / "right.safetensors").proof.difference < 2e-6
    right = exporting.chain_of
    monkeypatch.setattr(exporting, "chain_of", lambda *args: spoiled(right(*args)))
    output = tmp_path / "out.safetensors"
    assert main(["export", str(models[name]), "--to", "torch", "-o", str(output)]) == 2
    assert "differs from the chain of its layers" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["right.safetensors"]


def test_the_difference_is_the_larger_one_of_both(models, tmp_path, monkeypatch):
    plain = export_chain(models["generate"], "torch", tmp_path / "a.pt").proof
    monkeypatch.setattr(
        exporting, "prove_chain", lambda model, chain: replace(prove_chain(model, chain), difference=3e-6)
    )
    proof = export_chain(models["generate"], "torch", tmp_path / "b.pt").proof
    assert plain.difference < 3e-6 == proof.difference
    assert proof.examples == plain.examples


def test_texts_of_a_classifier_are_read_as_it_reads_them(models):
    model = gatewise.load(models["classify"])
    proof = prove_chain(model, exporting.chain_of(model))
    assert proof.difference < 2e-6
    assert proof.examples == 6 * len(model.classes_)
    model.temperature_ = 1.0  # the chain of another temperature is another one
    chain = exporting.chain_of(gatewise.load(models["classify"]))
    with pytest.raises(gatewise.errors.ModelFileError, match="differs"):
        prove_chain(model, chain)


def test_nothing_random_is_in_a_proof(models):
    model = gatewise.load(models["generate"])
    one, other = (prove_chain(model, exporting.chain_of(model)) for _ in range(2))
    assert one == other
    assert np.isfinite(one.difference)
