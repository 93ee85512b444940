"""What are word vectors worth to a classifier that has 500 labelled sentences?

    python -m benchmarks.vectors [SEED ...]

The sentences are of sst2, drawn by the seed from its training file; the others of that file serve without their labels:
of all of them come the vectors, by positive pointwise mutual information and a singular value decomposition (Levy,
Goldberg & Dagan 2015, TACL 3, with words weighted by their distance). Networks are compared alone, without the plain
methods that a model has beside them, on the test file; the strongest plain method, chosen in cross-validation, stands
beside them. All choices, the scale of the vectors among them, were made on the dev file.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import sparse

from gatewise.data.readers.labelled_text import read_labelled_text
from gatewise.data.text.segmentation import token_pattern
from gatewise.data.text.vectors import write_vectors
from gatewise.tasks import Classifier

from .record import ROOT, measured_anew, write_table

QUESTION = __doc__.partition("\n")[0]
DATA = ROOT.parent / "shared" / "data" / "sst2"
LABELLED, WIDTH, REACH, LEAST = 500, 100, 5, 2  # reach: words to each side; least: how often a word must occur
SEEDS = ("0", "1", "2")
METHODS: dict[str, dict[str, Any]] = {
    "no vectors": {"embedding_size": WIDTH},
    "vectors, learned": {"vectors": True},
    "vectors, frozen": {"vectors": True, "freeze_vectors": True},
}
PLAIN = "strongest plain method"


def sentences(part: str) -> tuple[list[str], np.ndarray]:
    """Texts and labels of a file of sst2."""
    found = read_labelled_text(DATA / f"stsa.binary.{part}.gz")
    texts, labels = (found.static[name].strings() for name in ("text", "label"))
    return [text or "" for text in texts], np.array(labels)


def learned_vectors(texts: list[str]) -> tuple[list[str], np.ndarray]:
    """Words, the most frequent one first, and their vectors (n, WIDTH) float32."""
    tokens = [[word.lower() for word in token_pattern().findall(text)] for text in texts]
    counts = Counter(word for sentence in tokens for word in sentence)
    words = [word for word, count in counts.most_common() if count >= LEAST]
    number = {word: place for place, word in enumerate(words)}
    together: Counter[tuple[int, int]] = Counter()
    for sentence in tokens:
        ids = [number.get(word) for word in sentence]
        for distance in range(1, REACH + 1):
            for left, right in zip(ids, ids[distance:], strict=False):
                if left is not None and right is not None:
                    together[left, right] += 1 / distance
                    together[right, left] += 1 / distance
    rows, columns = np.array([*together]).T
    values, n = np.array([*together.values()]), len(words)
    own = np.bincount(rows, values, n)
    context = own**0.75 / (own**0.75).sum()  # smoothed, so that rare contexts do not stand out
    information = np.maximum(np.log(values / (own[rows] * context[columns])), 0)
    matrix = sparse.csr_matrix((information, (rows, columns)), (n, n))
    left, strengths, _ = sparse.linalg.svds(matrix, WIDTH, v0=np.ones(n))
    return words, (left * np.sqrt(strengths)).astype(np.float32)


def measured(seed: str) -> dict[str, float]:
    """Accuracy on the test file, by method."""
    texts, labels = sentences("train")
    test, truth = sentences("test")
    drawn = np.random.default_rng(int(seed)).permutation(len(texts))[:LABELLED]
    own, wanted = [texts[place] for place in drawn], labels[drawn]
    common = {"seed": int(seed), "threads": 1, "tokens": "words", "ensemble": 1}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "vectors.txt"))
        write_vectors(path, *learned_vectors(texts))
        with patch.object(Classifier, "_measure", lambda self, *data: {}):  # no plain methods
            for name, method in METHODS.items():
                options = {**method, "vectors": path} if "vectors" in method else method
                model = Classifier(**common, **options).fit(own, wanted)
                found[name] = float((model.predict(test) == truth).mean())
                print(seed, name, found[name], flush=True)
    plain = Classifier(seed=int(seed), only="plain").fit(own, wanted)
    return {**found, PLAIN: float((plain.predict(test) == truth).mean())}


def table(answer: dict[str, dict[str, float]]) -> str:
    """Means over the seeds, with the range."""
    lines = ["| classifier of 500 sentences | accuracy |", "| --- | --- |"]
    for name in (*METHODS, PLAIN):
        figures = [one[name] for one in answer.values()]
        lines.append(f"| {name} | {statistics.mean(figures):.3f} ({min(figures):.3f} to {max(figures):.3f}) |")
    return "\n".join(lines)


if __name__ == "__main__":
    write_table("docs/tasks.md", "vectors", table(measured_anew("vectors", QUESTION, SEEDS, sys.argv[1:], measured)))
