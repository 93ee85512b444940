"""`tag`: learn a label, or a number, for each step of a sequence.

Words and their parts, categories and measurements; recurrent layers, forward or in both directions; for labels that
mark spans a conditional random field, so that no span is ever broken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...algebra import Cell
from ...data.sequences import Column, Sequences
from ...data.sources import Roles, read
from ...data.text import tagging_schemes as schemes
from ...errors import DataError, OptionError
from ...metrics.tagging import label_scores, number_scores
from ..estimator import Estimator, Meter, cells_of, filled
from ..options import NAMED, check_options, check_values, names, shares_of
from .baselines import Baselines, report
from .features import Encoded, Features
from .sizing import Sizing, sizing
from .split import parts_of
from .targets import Targets, all_labelled

if TYPE_CHECKING:
    from .network import TagNetwork
    from .stream import Stream

_NAMED = {"scheme": ("tagging scheme", tuple(schemes.SCHEMES))}
_ROWS_AT_ONCE = 4096  # of `predictions`


class Tagger(Estimator):
    """Learns a label for each step of a sequence, or a number.

    Sizes, rate and passes that are not given follow from the amount of data. Where labels mark spans, a validation part
    also says how sure the model must be that a step is part of none.

    Args:
        target: Column of the labels, one per step; "label" if omitted.
        key: Comma-separated columns that tell one sequence from another in a table.
        time: Column that orders a sequence's steps.
        zone: Time zone of stamps that do not say theirs, such as "Europe/Berlin".
        duplicates: Two rows at one time: "error", "first", "last" or "mean".
        columns: Comma-separated columns to learn from; all others that are given per step, if omitted.
        scheme: How labels mark spans: BIO, IOB1, BIOES, BMES or BILOU; found from the labels if omitted.
        repair: Read spans that break their scheme as conlleval does, instead of refusing them.
        crf: Score whole sequences of labels, with the transitions that the scheme allows; where labels mark spans and
            both directions are read, if omitted.
        cell: Recurrent cell: one of the family by its name, or a `Cell` of your own (in a command, FILE.py:NAME).
        preset: "small", "medium" or "large": how much time to spend; medium if omitted.
        embedding_size: Features per word.
        letters_size: Units per direction of the LSTM that spells words.
        hidden_size: Units per layer and direction.
        num_layers: Recurrent layers.
        bidirectional: Read from both ends; without it a label depends on no later step, and `stream` works.
        dropout: Chance that a feature of a word, a value between layers or one before the scores is zeroed in training.
        recurrent_dropout: In training, chance that a layer's recurrent weights do not see a unit, for a whole sequence.
        zoneout: In training, chance that a unit keeps what it carries from one step to the next; outside, its share.
        weight_dropout: In training, chance that a recurrent weight is zero, for a whole batch.
        learning_rate: AdamW's highest rate, after a linear warm-up and before a cosine decay.
        weight_decay: AdamW's decay, as a fraction of the rate.
        clip: Largest norm of the gradient.
        epochs: Passes over the training data.
        batch_size: Sequences read side by side.
        chunk_length: Steps that the gradient goes back: longer sequences are learned from in pieces.
        patience: Validations without improvement after which training stops early; never if omitted.
        split: Shares of training, validation and test: of the sequences, drawn at random, or of the steps of each in
            the order of time where there are fewer than ten.
        seed: Of everything random.
        threads: CPU threads; as many as PyTorch chooses, if omitted.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`.
        classes_: The labels; empty if a number is learned.
        scheme_: The scheme of the labels, or None.
        metrics_: Figures by part, and of the baselines.
        outcome_: How training ended.

    Example:
        >>> tagger = Tagger(seed=1).fit("train.conll", validation="dev.conll")
        >>> tagger.evaluate("test.conll")["all"]["f1"]
        >>> stream = Tagger(bidirectional=False, target="command").fit("drive.csv").stream()
        >>> command = stream.push({"front": 0.4, "left": 1.7})

    Source: Lample et al. (2016), arXiv:1603.01360; Ma & Hovy (2016), arXiv:1603.01354; Plank et al. (2016), ACL.
    """

    task: ClassVar[str] = "tag"
    kind: ClassVar[str] = ""

    def __init__(
        self,
        *,
        target: str | None = None,
        key: str | Sequence[str] | None = None,
        time: str | None = None,
        zone: str | None = None,
        duplicates: str = "error",
        columns: str | Sequence[str] | None = None,
        scheme: str | None = None,
        repair: bool = False,
        crf: bool | None = None,
        cell: str | Cell = "lstm",
        preset: str | None = None,
        embedding_size: int | None = None,
        letters_size: int | None = None,
        hidden_size: int | None = None,
        num_layers: int | None = None,
        bidirectional: bool = True,
        dropout: float | None = None,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_dropout: float = 0.0,
        learning_rate: float | None = None,
        weight_decay: float = 0.01,
        clip: float | None = 1.0,
        epochs: float | None = None,
        batch_size: int | None = None,
        chunk_length: int | None = None,
        patience: int | None = None,
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        threads: int | None = None,
    ):
        self.target = target
        self.key = key
        self.time = time
        self.zone = zone
        self.duplicates = duplicates
        self.columns = columns
        self.scheme = scheme
        self.repair = repair
        self.crf = crf
        self.cell = cell
        self.preset = preset
        self.embedding_size = embedding_size
        self.letters_size = letters_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.zoneout = zoneout
        self.weight_dropout = weight_dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self.epochs = epochs
        self.batch_size = batch_size
        self.chunk_length = chunk_length
        self.patience = patience
        self.split = split
        self.seed = seed
        self.threads = threads

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        validation: Any = None,
        query: str | None = None,
        encoding: str = "utf-8",
        output: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: Meter | None = None,
    ) -> Self:
        """Learn.

        Args:
            data: Whatever `data.sources.read` takes: a file, a table, arrays or lists.
            y: Labels beside arrays or lists, a list per sequence; then nothing is held out for a test.
            validation: Data that decides which weights are best, and then all of `data` is learned from; else a share
                of `data`.
            query: SQL whose result is the table.
            encoding: Of text files.
            output: Model file to write; see `Generator.fit`.
            resume: Go on from the checkpoint beside it.
            progress: Makes what shows progress, such as `training.choose`; None is silent.

        Raises:
            DataError: The data cannot be read, or a tagger cannot learn from it.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        import torch

        from .network import Pieces

        check_options(self, {**NAMED, **_NAMED})
        self._begin(output, resume)
        vars(self).pop("model_", None)  # or the columns of an earlier fit would be read
        whole = self._read(data, y, query, encoding)
        shares = shares_of(self.split, y is not None, validation is not None)
        parts = parts_of(whole, shares, int(self.seed))
        if validation is not None:
            parts["validation"] = self._read(validation, None, query, encoding)
        self._learn_targets(parts)
        train = parts["train"]
        self.features_ = Features.learn(train, self._inputs(train), bool(self.bidirectional))
        encoded = {name: self.features_.read(part) for name, part in parts.items()}
        targets = {name: self.targets_.numbers(self._truth(part)) for name, part in parts.items()}
        self.baselines_ = Baselines.learn(train, encoded["train"], self.features_, self._truth(train))
        self.sizing_ = chosen = sizing(self, int(train.offsets[-1]), bool(self.features_.words))
        training = Pieces(
            encoded["train"], targets["train"], chosen.batch_size, chosen.chunk_length, seed=int(self.seed)
        )
        held_out = "validation" if "validation" in parts else "train"
        steps = max(1, round(len(training) * chosen.epochs))
        plan = self._planned(steps, chosen.learning_rate, max(len(training), -(-steps // 20)))
        with torch.random.fork_rng(devices=[]):  # a caller's own draws go on as if nothing had happened
            torch.manual_seed(int(self.seed))
            model = self._build()
        steps = int(train.offsets[-1])
        judged = Pieces(encoded[held_out], targets[held_out], 2 * chosen.batch_size)

        def measure(finished: bool) -> dict[str, Any]:
            if held_out == "validation":
                model.settle(judged)
            return self._measured(parts, encoded, with_baselines=finished)

        self._learn(
            model,
            training,
            judged,
            plan,
            data={"name": whole.name, "fingerprint": whole.fingerprint(), "steps": steps, "shares": list(shares)},
            identity={**vars(chosen), "validation": parts[held_out].fingerprint()},
            measure=measure,
            unit="steps",
            per_step=steps / len(training),
            output=output,
            resume=resume,
            progress=progress,
        )
        return self

    def evaluate(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8"
    ) -> dict[str, Any]:
        """How good the labels are.

        Args:
            data, y, query, encoding: As for `fit`. The data that the model was trained on is cut as it was then.

        Returns:
            Per part ("train", "validation", "test", or "all" for other data) what `label_scores` or `number_scores`
            says; and "baselines" on the last of them, by name.

        Raises:
            DataError: The data cannot be read, or has no labels.
        """
        self._must_be_fitted()
        whole = self._read(data, y, query, encoding)
        trained = self._provenance["data"]
        same = whole.fingerprint() == trained["fingerprint"]
        parts = parts_of(whole, tuple(trained["shares"]), int(self.seed)) if same else {"all": whole}
        self._truth_column(whole)
        return self._measured(parts, {n: self.features_.read(p) for n, p in parts.items()}, with_baselines=True)

    def predict(self, data: Any) -> list[np.ndarray]:
        """Of each sequence its labels (T,), or its numbers."""
        self._must_be_fitted()
        whole = self._read(data, None, None, "utf-8", labelled=False)
        found = self._said(self.features_.read(whole))
        return [found[start:stop] for start, stop in zip(whole.offsets[:-1], whole.offsets[1:], strict=True)]

    def score(self, data: Any, y: Any = None) -> float:
        """F1 of spans where labels mark some, else accuracy; R² of numbers: more is better, for scikit-learn."""
        self._must_be_fitted()
        whole = self._read(data, y, None, "utf-8")
        found = self._measured({"all": whole}, {"all": self.features_.read(whole)}, with_baselines=False)["all"]
        return float(found["f1" if "f1" in found else "accuracy" if self.classes_ else "r2"])

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8"
    ) -> Iterator[dict[str, np.ndarray]]:
        """Labels as columns of a table, some thousand steps at a time: "sequence" and "step" (both from 0), tokens by
        name where there are any, and "predicted"."""
        self._must_be_fitted()
        whole = self._read(data, None, query, encoding, labelled=False)
        first = 0
        while first < len(whole):
            # As many sequences as fill a chunk, but at least one.
            last = int(np.searchsorted(whole.offsets, whole.offsets[first] + _ROWS_AT_ONCE, "right")) - 1
            last = max(last, first + 1)
            some = whole.take(range(first, last))
            columns = {
                "sequence": np.repeat(np.arange(first, last), some.lengths),
                "step": np.arange(some.offsets[-1]) - np.repeat(some.offsets[:-1], some.lengths),
                **{own.column: some.steps[own.column].values for own in self.features_.words},
                "predicted": self._said(self.features_.read(some)),
            }
            for start in range(0, int(some.offsets[-1]), _ROWS_AT_ONCE):
                yield {name: values[start : start + _ROWS_AT_ONCE] for name, values in columns.items()}
            first = last

    def stream(self) -> Stream:
        """The model as one that takes a row at a time and answers at once, for live control.

        Raises:
            OptionError: It was trained with `bidirectional=True` or with a CRF: its labels depend on later steps.
        """
        from .stream import Stream

        self._must_be_fitted()
        for option, waits in (("bidirectional", self.bidirectional), ("crf", self._uses_crf())):
            if waits:
                raise OptionError(
                    f"this tagger's labels depend on later steps ({option}=True), so it cannot answer at once. "
                    f"Train one with bidirectional=False{' and crf=False' * (option == 'crf')}"
                )
        return Stream(self.model_, self.features_, self.targets_.named)

    report = staticmethod(report)

    @property
    def classes_(self) -> list[str]:
        return self.targets_.classes

    @property
    def scheme_(self) -> str | None:
        return self.targets_.scheme

    # Steps of fit.

    def _read(self, data: Any, y: Any, query: str | None, encoding: str, labelled: bool = True) -> Sequences:
        columns = self.features_.columns if self.__sklearn_is_fitted__() else self.columns and names(self.columns)
        if columns and labelled:
            columns = [*columns, self.target or "label"]
        target = (self.target,) if self.target and labelled else ()
        roles = Roles(
            target,
            names(self.key),
            self.time,
            columns,
            per_step=True,
            lines="tokens",
            zone=self.zone,
            duplicates=self.duplicates,
            repair=self.repair,
        )
        return read(data, y, roles, query=query, encoding=encoding)

    def _inputs(self, data: Sequences) -> list[str]:
        if self.columns is not None:
            return list(names(self.columns))
        others = {self._target(data), *names(self.key), *names(self.time)}
        return [name for name, column in data.steps.items() if name not in others and column.kind != "time"]

    def _target(self, data: Sequences) -> str:
        """The column of labels; where columns have no names, readers call it "label"."""
        nameless = set(data.steps) <= {"token", "channels", "label"}
        return "label" if self.target is None or nameless else self.target

    def _truth_column(self, data: Sequences) -> Column:
        name = self._target(data)
        if name not in data.steps:
            hint = "" if self.target else " Name the column of labels with target"
            there = ", ".join(data.steps) or "none"
            raise DataError(f"{data.name}: no column '{name}' with a label per step. Columns per step: {there}.{hint}")
        return data.steps[name]

    def _truth(self, data: Sequences) -> Any:
        """Of each step its label, None where missing; or its number, NaN where missing."""
        return self.targets_.truth(self._truth_column(data), data)

    def _learn_targets(self, parts: Mapping[str, Sequences]) -> None:
        data = [parts[name] for name in ("train", "validation") if name in parts]
        columns = [self._truth_column(part) for part in data]
        self.targets_ = Targets.learn(columns, data, self.scheme, self.crf)
        if self._uses_crf():
            for column, part in zip(columns, data, strict=True):
                all_labelled(column, part)

    def _uses_crf(self) -> bool:
        return bool(self.bidirectional and self.scheme_) if self.crf is None else bool(self.crf)

    def _build(self) -> TagNetwork:
        from .network import TagNetwork

        chosen = self.sizing_
        return TagNetwork(
            self._cell(),
            self.features_,
            len(self.classes_) or 1,
            not self.classes_,
            self.targets_.allowed if self._uses_crf() else None,
            self.targets_.spans if self.scheme_ else None,
            self.targets_.outside,
            chosen.embedding_size,
            chosen.letters_size,
            chosen.hidden_size,
            chosen.num_layers,
            bool(self.bidirectional),
            chosen.dropout,
            float(self.recurrent_dropout),
            float(self.zoneout),
            float(self.weight_dropout),
        )

    # Saying and measuring.

    def _said(self, encoded: Encoded) -> np.ndarray:
        from .network import decoded

        return self.targets_.named(decoded(self.model_, encoded))

    def _measured(
        self, parts: Mapping[str, Sequences], encoded: Mapping[str, Encoded], with_baselines: bool
    ) -> dict[str, Any]:
        found = {name: self._scores(part, self._said(encoded[name])) for name, part in parts.items()}
        if with_baselines:
            name = list(parts)[-1]
            said = self.baselines_.predictions(parts[name], encoded[name])
            found["baselines"] = {own: self._scores(parts[name], values) for own, values in said.items()}
        return found

    def _scores(self, data: Sequences, said: Any) -> dict[str, Any]:
        truth = self._truth(data)
        if not self.classes_:
            return number_scores(truth, said)
        return label_scores(truth, list(said), data.offsets, self.scheme_)

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **cells_of(self.model_.layers),
            "sizes": asdict(self.sizing_),
            "features": self.features_.to_json(),
            "targets": asdict(self.targets_),
            "baselines": self.baselines_.to_json(),
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        check_options(self, {**NAMED, **_NAMED})
        check_values(document["sizes"])
        self.sizing_ = Sizing(**document["sizes"])
        self.features_ = Features.from_json(document["features"])
        self.targets_ = Targets(**document["targets"])
        self.baselines_ = Baselines(**document["baselines"])
        self.model_ = filled(self._build, tensors)
