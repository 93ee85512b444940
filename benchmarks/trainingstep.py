"""What does the native engine save in a language model's training step, beside PyTorch's own LSTM kernels?

python -m benchmarks.trainingstep

The models are those that `fit generate` chose for the texts in `results/languagemodels-*.json`; a step is all of it:
embedding, layers, scores, loss, gradients, clipping, AdamW. The two take turns in one process, on the same weights;
their first losses are compared before they are timed.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from unittest.mock import patch

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

import torch
from torch.nn.utils import clip_grad_norm_

from gatewise import cells
from gatewise.engine import native
from gatewise.tasks.generate.text.network import LanguageModel
from gatewise.tasks.generate.text.sizing import Sizing
from gatewise.training.memory import keep_freed_memory

from .record import RESULTS, write

TEXTS = ("alice", "demo", "tinyshakespeare")
ROUNDS, STEPS = 7, 6


def measure(text: str) -> dict[str, object]:
    sizes = Sizing(**json.loads((RESULTS / f"languagemodels-{text}.json").read_text())["answer"]["sizes"])
    torch.manual_seed(0)
    model = LanguageModel(cell=cells.find("lstm"), sizes=sizes)
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW(weights, lr=1e-4, fused=True)
    ids = torch.randint(0, sizes.vocabulary_size, (sizes.chunk_length + 1, sizes.batch_size))

    def step() -> float:
        optimizer.zero_grad()
        loss = model.training_loss((ids[:-1], ids[1:]))
        loss.backward()
        clip_grad_norm_(weights, 1.0)
        optimizer.step()
        return loss.item()

    model.eval()  # without dropout, whose draws differ, for the comparison
    with torch.no_grad():
        ours = model.training_loss((ids[:-1], ids[1:])).item()
        model.begin("train")
        with patch.object(native, "fits", lambda *_: False):
            theirs = model.training_loss((ids[:-1], ids[1:])).item()
    assert abs(ours - theirs) < 1e-5 * theirs, (ours, theirs)
    model.begin("train")
    model.train()

    times: dict[str, list[float]] = {"gatewise": [], "torch": []}
    for _ in range(ROUNDS):
        for name, fits in (("gatewise", native.fits), ("torch", lambda *_: False)):
            with patch.object(native, "fits", fits):
                step()
                start = time.perf_counter()
                for _ in range(STEPS):
                    step()
                times[name].append((time.perf_counter() - start) / STEPS * 1e3)
    ratios = [b / a for a, b in zip(times["gatewise"], times["torch"], strict=True)]
    return {
        "model of": text,
        "milliseconds_per_step": {name: round(statistics.median(values), 2) for name, values in times.items()},
        "torch / gatewise": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
    }


if __name__ == "__main__":
    keep_freed_memory()  # as training does
    answer = [measure(text) for text in TEXTS]
    for row in answer:
        print(row)
    write("trainingstep", __doc__.partition("\n")[0], answer)
