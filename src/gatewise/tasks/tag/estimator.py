"""`tag`: learn a label, or a number, for each step of a sequence.

Words and their parts, categories and measurements; recurrent layers, forward or in both directions; for labels that
mark spans a conditional random field, so that no span is ever broken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.sequences import Column, Sequences
from ...data.sources import Roles, read
from ...data.text import tagging_schemes as schemes
from ...errors import DataError, OptionError
from ...metrics.tagging import label_scores, number_scores
from ...training import ProgressFor
from ..estimator import Estimator, cells_of, filled
from ..options import names, shares_of
from ..report import tag_report
from .baselines import Baselines
from .features import Encoded, Features
from .options import TagOptions
from .sizing import Sizing, sizing
from .split import parts_of
from .targets import Targets, all_labelled

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import TagNetwork
    from .stream import Stream

_NAMED = {"scheme": ("tagging scheme", tuple(schemes.SCHEMES))}
_ROWS_AT_ONCE = 4096  # of `predictions`


class Tagger(Estimator, TagOptions):
    """Learns a label for each step of a sequence, or a number.

    Sizes, rate and passes that are not given follow from the amount of data. Where labels mark spans, a validation part
    also says how sure the model must be that a step is part of none.

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
        progress: ProgressFor | None = None,
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
        return self._fit(lambda: self._prepare(data, y, validation, query, encoding), output, resume, progress)

    def _prepare(self, data: Any, y: Any, validation: Any, query: str | None, encoding: str) -> Prepared:
        """Read, split, encode and size."""
        from ..fitting import Prepared, plan_of
        from .network import Pieces

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
        plan = plan_of(self, steps, chosen.learning_rate, max(len(training), -(-steps // 20)))
        steps = int(train.offsets[-1])
        judged = Pieces(encoded[held_out], targets[held_out], 2 * chosen.batch_size)

        def measure(finished: bool) -> dict[str, Any]:
            if held_out == "validation":
                self.model_.settle(judged)
            return self._measured(parts, encoded, with_baselines=finished)

        return Prepared(
            build=self._build,
            training=training,
            validation=judged,
            plan=plan,
            data={"name": whole.name, "fingerprint": whole.fingerprint(), "steps": steps, "shares": list(shares)},
            identity={**vars(chosen), "validation": parts[held_out].fingerprint()},
            measure=measure,
            unit="steps",
            per_step=steps / len(training),
        )

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
        trained = self.provenance_["data"]
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

    report = staticmethod(tag_report)

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
            self.find_cell(),
            self.features_,
            len(self.classes_) or 1,
            not self.classes_,
            self.targets_.allowed if self._uses_crf() else None,
            self.targets_.spans if self.scheme_ else None,
            self.targets_.outside,
            chosen.embedding_size,
            chosen.char_hidden_size,
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
        self.check()
        self.sizing_ = self._sizes(document, Sizing)
        self.features_ = Features.from_json(document["features"])
        self.targets_ = Targets(**document["targets"])
        self.baselines_ = Baselines(**document["baselines"])
        self.model_ = filled(self._build, tensors)
