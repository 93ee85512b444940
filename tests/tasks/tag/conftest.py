"""Taggers that several tests ask."""

import pytest
from tag_examples import SMALL, series, tagged

from gatewise.data.readers.arrays import from_arrays
from gatewise.tasks import Tagger


@pytest.fixture(scope="session")
def namer():
    return Tagger(seed=3, learning_rate=0.02, **SMALL).fit(tagged(260))


@pytest.fixture(scope="session")
def steerer():
    x, labels, _ = series()
    options = {"hidden_size": 24, "epochs": 40, "dropout": 0.0, "batch_size": 8, "chunk_length": 50}
    return Tagger(bidirectional=False, **options).fit(from_arrays(x, labels, per_step=True))
