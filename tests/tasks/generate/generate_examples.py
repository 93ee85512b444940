"""Small language models that several tests look at."""

import io

import torch

from gatewise import cells
from gatewise.tasks.generate.architecture import Regularisation
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.generate.text.network import LanguageModel
from gatewise.tasks.generate.text.sizing import Sizing

TINY = {"hidden_size": 8, "batch_size": 2, "chunk_length": 16, "epochs": 0.05}


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


REGULARISED = {
    "recurrent_dropout": 0.2,
    "zoneout": 0.1,
    "weight_dropout": 0.3,
    "activation_penalty": 2.0,
    "temporal_activation_penalty": 1.0,
}
