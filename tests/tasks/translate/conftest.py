"""What several tests of `translate` need."""

import pytest
from translate_examples import SMALL, numbers

from gatewise.data.paired.pairs import Pairs
from gatewise.tasks import Translator


@pytest.fixture(scope="session")
def reverser():
    return Translator(**{**SMALL, "epochs": 14}, seed=1, only="network").fit(Pairs(*numbers(400)))
