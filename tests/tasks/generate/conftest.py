"""A folder to work in, and numbers to learn from."""

import numpy as np
import pytest
from numbers_examples import TINY, wave

from gatewise.tasks.generate.estimator import Generator


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def waves():
    rng = np.random.default_rng(0)
    return [wave(rng, rng.integers(12, 40)) for _ in range(40)]


@pytest.fixture(scope="session")
def fitted(waves):
    return Generator(**TINY).fit(waves)
