"""All plain methods of a model as one: the most frequent class, the regression, and what suits the data.

That is linear models of runs of words and characters for texts, and of word vectors where some were learned from other
text; random convolutions and nearest neighbours for series of numbers, and spectra of one level for recordings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from ....data.sequences import Sequences
from ....launch import each
from ..inputs import Inputs
from ..targets import Targets
from .blend import mixture
from .convolutions import Convolutions
from .method import Method, Shapes
from .ngrams import NGrams
from .regression import Regression, regression_name
from .spectra import Spectra
from .warping import Neighbours

NGRAMS = {"words": "TF-IDF of words", "characters": "TF-IDF of characters"}
VECTORS = "TF-IDF of word vectors"
SPECTRA, CONVOLUTIONS, NEIGHBOURS = "ridge of spectra", "random convolutions", "nearest neighbours"
TOGETHER = "plain methods together"
METHODS: Mapping[str, tuple[str, type[Method]]] = {  # name -> its key in model files, and what it is
    NGRAMS["words"]: ("words", NGrams),
    NGRAMS["characters"]: ("characters", NGrams),
    VECTORS: ("vectors", NGrams),
    SPECTRA: ("spectra", Spectra),
    CONVOLUTIONS: ("convolutions", Convolutions),
    NEIGHBOURS: ("neighbours", Neighbours),
}


class Baselines:
    """The plain methods of a model, learned.

    Attributes:
        prior: (outputs,) share of each class or label in training, or the standardised mean of a number.
        regression: Which every model has.
        methods: Those beside the regression, by name.
        shares: Of the regression and the methods, by name, in what they predict together. 1 in all.
        strongest: The one that was best on held-out sequences, or `TOGETHER`.
        left_out: (N, outputs) predictions by each, by name, of the sequences that were learned from, by models that did
            not learn from them; where it was asked for. Not kept in the model file.
        class_weights: (K,) that the networks learned with; the methods learn without, and their probabilities are
            changed. None: all are equal.
    """

    def __init__(self, prior: np.ndarray, regression: Regression):
        self.prior, self.regression = np.asarray(prior, np.float32), regression
        self.methods: dict[str, Method] = {}
        self.shares: dict[str, float] = {}
        self.strongest = ""
        self.left_out: dict[str, np.ndarray] = {}
        self.class_weights: np.ndarray | None = None

    def outputs(
        self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray, names: Iterable[str] | None = None
    ) -> dict[str, np.ndarray]:
        """(B, outputs) of each by name, but the one that reads nothing: probabilities, or standardised numbers.

        Args:
            names: Of those that are asked for; None: all.
        """
        there: dict[str, Regression | Method] = {regression_name(targets.kind): self.regression, **self.methods}
        asked = [*(there if names is None else names)]
        found = each(lambda name: self.reweighted(there[name].outputs(inputs, targets, data, rows)), asked)
        return dict(zip(asked, found, strict=True))

    def reweighted(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities as they would be, had each class the weight that the networks gave it."""
        if self.class_weights is None:
            return probabilities
        found = probabilities * self.class_weights
        return np.asarray(found / found.sum(1, keepdims=True))

    def shares_of(self, targets: Targets) -> dict[str, float]:
        """The shares by name; in models of before, the regression's alone."""
        return self.shares or {regression_name(targets.kind): 1.0}

    def together(self, inputs: Inputs, targets: Targets, data: Sequences, rows: np.ndarray) -> np.ndarray:
        """(B, outputs): what they predict in their shares."""
        shares = self.shares_of(targets)
        return mixture(self.outputs(inputs, targets, data, rows, shares), shares)

    def with_prior(self, targets: Targets, found: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
        """Outputs by name, with those of the one that reads nothing and, if several have a share, of all together."""
        scores = {prior_name(targets.kind): np.broadcast_to(self.prior, (count, len(self.prior))), **found}
        return scores | ({TOGETHER: mixture(found, self.shares)} if len(self.shares) > 1 else {})

    def tensors(self) -> dict[str, np.ndarray]:
        """For the model file, which calls the prior "usual". Of the methods each under its key and a dot."""
        found = {"usual": self.prior, **self.regression.tensors()}
        for name, method in self.methods.items():
            key, _ = METHODS[name]
            found |= {f"{key}.{part}": np.ascontiguousarray(values) for part, values in method.tensors().items()}
        return found

    @staticmethod
    def shapes(inputs: Inputs, targets: Targets, chosen: bool) -> Shapes:
        """Of what `tensors` gives, without the methods. Arguments as for `Regression.shapes`."""
        return {"usual": (targets.outputs,), **Regression.shapes(inputs, targets, chosen)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Self:
        """What `tensors` gave, without the methods. ValueError if it cannot be that."""
        return cls(tensors["usual"], Regression.from_tensors(tensors))

    def take_shares(self, targets: Targets, shares: Mapping[str, float], strongest: str, class_weight: Any) -> None:
        """What a model file says of them. ValueError if there is no such method.

        Args:
            class_weight: The option.
        """
        there = {regression_name(targets.kind), *self.methods}
        if not {*shares} <= there or strongest not in {"", *there, *({TOGETHER} if len(shares) > 1 else set())}:
            raise ValueError("it has shares of plain methods that it does not have")
        if shares and abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of its plain methods are {sum(shares.values()):.4g} in all, not 1")
        self.shares, self.strongest = dict(shares), strongest
        if shares and class_weight == "balanced":
            self.class_weights = (1 / (targets.outputs * np.maximum(self.prior, 1e-12))).astype(np.float32)
        elif shares:
            self.class_weights = targets.weights(class_weight, np.zeros(0, np.int64))


def prior_name(kind: str) -> str:
    """What the model file and reports call the prediction that reads nothing."""
    return {"category": "majority", "labels": "usual labels", "number": "mean"}[kind]
