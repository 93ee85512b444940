"""How well does `gatewise fit generate` learn to write with default options, and how long does it take?

    python -m benchmarks.languagemodels [demo] [alice] [tinyshakespeare]

Splits are the defaults: the first 90 % of the text for training, then 5 % validation, then 5 % test. Sizes and rates
were chosen on validation text only. Baselines learn from the same training text and are measured on the same test text.
"""

from __future__ import annotations

import io
import math
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

from gatewise.cli.demo import full
from gatewise.data.datasets.builtin import python_documentation
from gatewise.tasks.generate.estimator import Generator
from gatewise.training import choose

from .record import ROOT, write

DATA = ROOT.parent / "shared" / "data"
TEXTS = {"alice": "alice/wonderland.txt", "tinyshakespeare": "tinyshakespeare/input.txt"}


def main(names: list[str]) -> None:
    for name in names or ["demo", *TEXTS]:
        if name == "demo":
            text = python_documentation()
            data, options = io.StringIO(text), full(text)
        else:
            data, options = DATA / TEXTS[name], {"seed": 1}
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "model.gatewise"
            generator = Generator(**options).fit(
                data,
                output=model,
                progress=partial(choose, False),
            )
        metrics = generator.metrics_
        held_out = [metrics["validation"], metrics["test"]]
        # Yardsticks in the literature take the whole last tenth as validation.
        last_tenth = sum(m["loss"] * m["tokens"] for m in held_out) / sum(m["tokens"] for m in held_out)
        answer = {
            "text": TEXTS.get(name, "pydoc_data.topics"),
            "seed": 1,
            "sizes": vars(generator.sizing_),
            "training_seconds": round(generator.outcome_.seconds, 1),
            "ended": generator.outcome_.reason,
            "last_tenth": {"nats": last_tenth, "bits_per_character": last_tenth / math.log(2)},
            "metrics": metrics,
            "sample": "".join(generator.sample("\n", 600, temperature=0.8, seed=1)),
        }
        path = write(f"languagemodels-{name}", __doc__.partition("\n")[0], answer)
        print(f"{name}: {answer['training_seconds']} s, last tenth {last_tenth:.4f} nats -> {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
