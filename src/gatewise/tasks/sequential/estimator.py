"""`sequential`: a model of another library, whose layers read one another's output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np

from ...errors import DataError, OptionError
from ...runtime import sequential
from ...runtime.network import Block, checked
from ...runtime.sequential import Layer
from ...runtime.streams import Streams
from ..answers import Answer
from ..document import TrainedOn, cell_from
from ..estimator import Estimator
from .document import Document, Sizes, check_names
from .evaluation import label_scores, scores, sequential_report
from .options import SequentialOptions
from .predictor import Predictor
from .stream import LiveRows, Stream, live_model
from .texts import Tokens


class Sequential(Estimator, SequentialOptions):
    """A model that another library has trained: numbers, tokens or texts in, numbers or classes out.

    `gatewise import` makes one of a file of Keras, PyTorch or ONNX; see docs/exchange.md.

    Attributes (after fit):
        layers_: What it is made of.
        vocabulary_: How texts become tokens; None if nothing said so.
        classes_: What its answers stand for; None if nothing said so.
        provenance_: Under "imported" where it comes from, and how it was proved.
        metrics_: Empty: what the model was trained on is not known here.

    Example:
        >>> model = Sequential.load("imported.gatewise")
        >>> model.predict(np.zeros((2, 7, 3)))
    """

    task: ClassVar[str] = "sequential"
    kind: ClassVar[str] = ""
    proj_size: ClassVar[int] = 0  # layers have their own

    layers_: Sequence[Layer]
    vocabulary_: Tokens | None
    classes_: Sequence[str] | None

    @classmethod
    def of(
        cls,
        layers: Sequence[Layer],
        tensors: Mapping[str, np.ndarray],
        *,
        vocabulary: Tokens | None = None,
        classes: Sequence[str] | None = None,
        training: Mapping[str, Any],
        **options: Any,
    ) -> Self:
        """A model of layers and their weights.

        Args:
            layers: See `runtime.sequential`.
            tensors: By the names that `runtime.sequential.architecture` gives them.
            training: What is said of where it comes from: "data" with a "fingerprint", "metrics" and "imported".
            options: Of the columns of tables.

        Raises:
            OptionError: A vocabulary or names of classes do not go with the layers.
        """
        try:
            check_names(layers, vocabulary, classes)
        except OptionError:
            raise
        except ValueError as error:
            raise OptionError(str(error)) from None
        first = next(sequential.recurrent(layers))
        self = cls(**options, cell=cell_from({"cell": first.program}))
        self.check()
        self.layers_, self.vocabulary_, self.classes_ = layers, vocabulary, classes
        self.provenance_, self.metrics_, self.history_, self.schema_ = dict(training), {}, {}, None
        self._read_weights = checked(self._architecture(), tensors)
        return self

    def fit(self, *args: Any, **kwargs: Any) -> Self:
        """Refused: another library has trained it. OptionError says what to do."""
        raise OptionError(
            "a model of another library cannot go on learning here yet. Train one of ours: gatewise fit --help"
        )

    def evaluate(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8"
    ) -> dict[str, Any]:
        """Compare answers with targets.

        Args:
            data: As for `predict`, with a column of targets (`target`, or "label").
            y: Targets, where data are arrays or lists.
            query: SQL whose result is the table.
            encoding: Of text files.

        Returns:
            Under "all" what `metrics.class_scores` gives of classes, `metrics.multilabel_scores` of labels, and
            `metrics.regression_scores` of numbers.

        Raises:
            DataError: The data cannot be read, or hold no target.
        """
        predictor = self._predictor()
        sequences = predictor.read(data, y, query=query, encoding=encoding, labelled=True)
        there = {**sequences.steps, **sequences.static}
        if not predictor.targets and "label" not in there:
            raise DataError(f"{sequences.name} has no column 'label'. Name the targets at the import, with --target")
        wanted = [name for name in predictor.targets if name in there] if predictor.labels else predictor.targets[:1]
        targets = [sequences.column(name) for name in wanted or ("label",)]
        outputs = predictor.outputs(predictor.inputs(sequences))
        rows = np.concatenate(outputs) if predictor.each_step else np.stack(outputs)
        if not predictor.each_step:  # the same at all steps, or the last one's
            last = sequences.offsets[1:] - 1
            targets = [own if len(own) == len(sequences) else own[last] for own in targets]
        if predictor.labels:
            return {"all": label_scores(targets, rows)}
        return {"all": scores(targets[0], rows, self.classes_, predictor.probabilities)}

    def predict(self, data: Any) -> list[Any]:
        """Of each sequence a class, a number, or an array of several, or of zeros and ones of labels; of a model that
        answers at each step, an array.

        Args:
            data: Arrays (N, T, D), or (N, T) of tokens or of one number a step; a list of such of any lengths; texts,
                where there is a vocabulary; a table, whose rows are steps in their order, grouped by `key`.
        """
        return self._predictor().predict(data)

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8", shard: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Answers as columns of a table: the key columns if there are any, or "sequence"; "step" where there is an
        answer at each; and "predicted", with its "probability" if it is a class, "predicted_0" on of many numbers, or
        each label by its name.

        Args:
            data: As for `predict`.
            query: SQL whose result is the table.
            encoding: Of text files.
            shard: "2/8" for the second of eight parts, which no two share; see `tasks.sharding`.
        """
        return self._predictor().predictions(data, query=query, encoding=encoding, shard=shard)

    def answers(self, texts: Sequence[str]) -> Iterator[Answer]:
        """What the model answers to texts. OptionError if it has no vocabulary."""
        if self.vocabulary_ is None:
            raise OptionError("this model has no vocabulary. Import it with --vocabulary, or give numbers of tokens")
        return self._predictor().answers(texts)

    def stream(self) -> Stream:
        """Answer as steps arrive. OptionError if the model has to read a sequence whole."""
        return Stream(self._live())

    def streams(self) -> Streams:
        """Many sequences at a time; see `stream.LiveRows`. OptionError as for `stream`."""
        return super().streams()

    def _live(self) -> LiveRows:
        return live_model(self._predictor(), self._digest)

    report = staticmethod(sequential_report)

    def _predictor(self) -> Predictor:
        self._must_be_fitted()
        return Predictor(
            net=self._net,
            layers=self.layers_,
            options=self,
            vocabulary=self.vocabulary_,
            classes=self.classes_,
            schema=self.schema_,
        )

    def _architecture(self) -> Block:
        return sequential.architecture(self.layers_)

    def _build(self) -> Any:
        from ..network import Network

        return Network(self._architecture())

    # The model file.

    def _document(self) -> dict[str, Any]:
        layers = self.layers_
        found: dict[str, Any] = {
            **self._cells(),
            "sizes": asdict(Sizes(sequential.first_width(layers), sequential.last_width(layers))),
            "layers": [sequential.said(layer) for layer in layers],
            "classes": None if self.classes_ is None else list(self.classes_),
            "vocabulary": None,
        }
        if self.vocabulary_ is not None:
            found["vocabulary"] = {name: getattr(self.vocabulary_, name) for name in ("kind", "tokens", "ids")}
        return found

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        found = self._read_document(document, Document, TrainedOn)
        self.layers_, self.vocabulary_, self.classes_ = found.chain, found.vocabulary, found.classes
        self._read_weights = checked(self._architecture(), tensors)
