"""What several tests of `caption` need."""

import pytest
from caption_examples import SMALL, lamps

from gatewise.tasks import Captioner


@pytest.fixture(scope="session")
def lit():
    return Captioner(seed=1, epochs=8, learning_rate=0.01, **SMALL).fit(lamps(160))
