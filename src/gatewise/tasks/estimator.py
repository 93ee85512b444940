"""What all tasks share: options by name, fitting, saving, loading. Importing it costs no torch."""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, fields
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, get_type_hints

import numpy as np

from .. import bundle
from ..algebra import Cell
from ..compression import Compressed, compressed, packed
from ..data.readers.table_files import ABOUT_DATA, one_source
from ..data.tables.schema import Schema
from ..document import read
from ..errors import ModelFileError, NotFittedError, OptionError, extras_named, suggest
from ..runtime.layers import KITS, network_of
from ..runtime.streams import Live, Streams
from ..terminal import shown
from .document import Provenance, TrainedOn, cell_from, cells_of, options_of, read_sized, weights_of
from .fields import document_of, refuse_old_name
from .members import Member, blueprint, cell_names, members_of
from .options import RATE, CommonOptions, names
from .verdict import sentence

if TYPE_CHECKING:
    from torch import nn

    from ..native.calls import Precision
    from ..runtime.network import Block
    from ..training import Outcome, ProgressFor
    from ..watch.advice import Advice
    from .fitting import Prepared
    from .stress import Stressed
    from .transfer import Axes, Kept, Start

D = TypeVar("D")
T = TypeVar("T")
N = TypeVar("N", bound="nn.Module")


class Estimator(CommonOptions, ABC):
    """A task as scikit-learn's users expect one: options by name, `fit` that returns itself, `clone` that works.

    A task's estimator inherits its dataclass of options too, which brings the constructor and its documentation.

    Attributes (after fit):
        model_: The network as it is trained, a `torch.nn.Module`; None with `only="plain"`. Of a model file it is made
            when it is asked for, as predicting needs no torch.
        metrics_: Figures by part ("train", "validation", "test"), and of the "baselines".
        outcome_: How training ended.
        schema_: How a table was read, by column; new data are read in the same way. None if it was no table.
        history_: Lists of one length, with a value for each validation: "loss" and "val_loss" (what they are is in
            `provenance_["loss"]`), "epoch", "step" and "learning_rate". Empty for models of before.
        advice_: What is wrong with the training, if it was watched.
        members_: The settings whose networks are averaged, if `tune` made it of several; else ().
    """

    task: ClassVar[str]  # its name on the command line and in model files
    kind: ClassVar[str]  # what scikit-learn calls it: "classifier", "regressor", "outlier_detector"; "" for the rest

    data_help: ClassVar[str] = ABOUT_DATA  # of DATA on the command line

    # What a model goes on from, see `transfer`.
    encoders_from: ClassVar[tuple[str, ...]] = ()  # other tasks, whose layers can read for this one
    _shaping: ClassVar[tuple[str, ...]] = ("hidden_size", "num_layers")  # options that decide the shapes of weights
    _averaged: ClassVar[tuple[str, ...]] = ()  # weights whose new rows begin at the mean of the others
    _recomputed: ClassVar[tuple[str, ...]] = ()  # weights that follow from the data, and are not taken

    model_: Any
    metrics_: dict[str, Any]
    outcome_: Outcome
    compressed_: Compressed | None = None  # how a model file holds its weights, if not as float32
    schema_: Schema | None = None  # how the table was read that it learned from
    history_: dict[str, list[float]]
    advice_: list[Advice]  # of a training that was watched
    members_: tuple[Member, ...] = ()
    provenance_: dict[str, Any]  # how the model came about: data, seed, versions, metrics

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__doc__ = document_of(cls)

    # The estimator's contract.

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor options by name, as they were given, whatever a model that was gone on from decides of them."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return found | {name: given for name, (given, taken) in self._settled.items() if found[name] is taken}

    def set_params(self, **params: Any) -> Self:
        """Change options. OptionError for one that does not exist."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                refuse_old_name(name, known)
                raise OptionError(suggest("option", name, known))
            setattr(self, name, value)
        self._settled = {name: values for name, values in self._settled.items() if name not in params}
        return self

    def __repr__(self) -> str:
        defaults = {f.name: f.default for f in fields(self)}
        given = {name: value for name, value in self.get_params().items() if value != defaults[name]}
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in given.items())})"

    def summary(self) -> None:
        """Print the layers of the network, with the shapes of what they give and of their weights, as Keras does.

        OptionError if nothing was learned yet.
        """
        from .summary import layers_of, layers_table

        self._must_be_fitted()
        if self.model_ is None:
            raise OptionError('this model has no network: it was made with only="plain"')
        weights = {name: tuple(weight.shape) for name, weight in self.model_.named_parameters()}
        print(layers_table(weights, layers_of(self.model_)))

    def __sklearn_is_fitted__(self) -> bool:
        return not vars(self).keys().isdisjoint(("model_", "_read_weights"))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn wants to know; asked only by itself, so that it need not be installed."""
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type=self.kind or None,
            target_tags=TargetTags(required=self.kind in ("classifier", "regressor")),
            classifier_tags=ClassifierTags() if self.kind == "classifier" else None,
            regressor_tags=RegressorTags() if self.kind == "regressor" else None,
            input_tags=InputTags(allow_nan=True, three_d_array=True, string=True),
            non_deterministic=False,
        )

    def __getstate__(self) -> dict[str, Any]:
        """For pickle, by which data engines send what their functions use: without what is made of the weights."""
        return {name: value for name, value in vars(self).items() if name != "_made"}

    def _must_be_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise NotFittedError(f"this {name.lower()} has learned nothing yet. Call fit, or {name}.load(a model file)")

    if not TYPE_CHECKING:  # to mypy, it would be any attribute

        def __getattr__(self, name: str) -> Any:
            """Of an attribute that `fit` sets."""
            if name == "model_" and "_read_weights" in vars(self):
                return self._trainable()
            if name.endswith("_") and not name.startswith("_"):
                self._must_be_fitted()
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    # The network. What trains it is torch's; what predicts are the same parts without torch, over the same weights.

    @abstractmethod
    def _architecture(self) -> Block:
        """What the network is made of."""

    def _together(self, networks: Sequence[Block], shares: Sequence[float]) -> Block:
        """Networks of several settings as one, which predicts their average by these shares."""
        raise ModelFileError(f"the networks of the task '{self.task}' are not averaged")

    @abstractmethod
    def _build(self) -> nn.Module:
        """The network before training."""

    @property
    def _net(self) -> Any:
        """What predicts: the layers of `_architecture`, over the weights of `model_` as they are now, or over those of
        the model file. None with `only="plain"`."""
        if "model_" not in vars(self):
            version: Any = id(self._read_weights), self._precision
        elif self.model_ is None:
            return None
        else:
            version = id(self.model_), [tensor._version for tensor in self.model_.state_dict().values()]
        if self._made is None or self._made[0] != version:
            self._made = version, network_of(blueprint(self), self._weights(), KITS[self._precision])
        return self._made[1]

    _read_weights: dict[str, np.ndarray]  # of a model file, until `model_` is made of them
    _made: tuple[Any, Any] | None = None  # what `_net` was last made of, and it itself

    def _cells(self) -> dict[str, Any]:
        """See `cells_of`."""
        return cells_of(self.find_cell(), 0.0 if self._net is None else float(getattr(self, "zoneout", 0.0)))

    @property
    def _precision(self) -> Precision:
        """Of what predicts."""
        return "float32" if self.compressed_ is None else self.compressed_.precision

    def _weights(self) -> dict[str, np.ndarray]:
        """By name; those of `model_` are not copied."""
        if "model_" not in vars(self):
            return self._read_weights
        return {} if self.model_ is None else weights_of(self.model_)

    @extras_named()
    def _trainable(self) -> nn.Module:
        """`model_` of what was read from a model file."""
        import torch

        from .network import Network

        model = Network(blueprint(self)) if self.members_ else self._build()
        model.load_state_dict({name: torch.from_numpy(array) for name, array in self._read_weights.items()})
        self.model_ = model.eval()
        del self._read_weights
        return self.model_

    # What a task says of itself.

    @classmethod
    def data_at(cls, paths: Sequence[str]) -> Any:
        """What `fit` and `evaluate` take for these paths of a command line. OptionError if they are too many."""
        return one_source(paths)

    def opened(self, data: Any, encoding: str) -> Any:
        """What `data_at` gave, read if that is quick, so that what cannot be read shows before torch is loaded."""
        return data

    @abstractmethod
    def fit(self, *args: Any, **kwargs: Any) -> Self:
        """Learn. Takes `output`, `resume` and `progress` beside what says how to read the data; see the tasks."""

    @abstractmethod
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Figures by part of the data, and those of plain "baselines"."""

    @staticmethod
    @abstractmethod
    def report(metrics: Mapping[str, Any]) -> str:
        """Figures as a plain table of at most 80 columns."""

    @abstractmethod
    def _document(self) -> dict[str, Any]:
        """What the model file says beside "task", "options" and "training": sizes, vocabularies, scalers."""

    @abstractmethod
    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        """Undo `_document`, and keep the network's weights (see `checked`).

        Nothing is taken before the document was read as the task's `Document` (see `_read_document`), and no tensor
        beside the network's is used before its shape was checked (see `taken`). Whatever Python raises about a document
        that contradicts itself becomes a ModelFileError.
        """

    def _read_document(self, document: Mapping[str, Any], kind: type[D], data: Any = TrainedOn) -> D:
        """What a model file says of this task; see `read_sized`.

        Args:
            data: A TypedDict of what it says of the training data.
        """
        self.check()
        read(data, document["training"]["data"], "training.data")
        self.members_ = members_of(document, type(self), get_type_hints(kind)["sizes"])
        return read_sized(document, kind, type(self))

    # Going on from a model; see `transfer`.

    _start: Start | None = None  # while `fit` runs
    # Options that the last fit took from a model: what was given, and what it took.
    _settled: Mapping[str, tuple[Any, Any]] = MappingProxyType({})
    _kept: Kept | None = None

    def _settings_of(self, model: Any) -> dict[str, Any]:
        """Options that a model to go on from decides, with its values."""
        found = {name: vars(model.sizing_).get(name, getattr(model, name)) for name in self._shaping}
        return {"cell": model.cell, **found}

    def _offered(self, model: Any, weights: Mapping[str, np.ndarray]) -> tuple[Mapping[str, np.ndarray], Axes]:
        """The weights of a model to go on from under the names that they have here, and what their places are."""
        return weights, model._axes()

    def _axes(self) -> Axes:
        """What the places of weights are, where that may differ from model to model."""
        return {}

    def begun(self, network: N) -> N:
        """A new network with the weights of the model to go on from, and with what is frozen; or just as it is."""
        from .transfer import freeze

        if self._start is not None:
            self._kept = self._start.into(network, self._axes(), self._averaged, self._recomputed)
            freeze(network, names(self.freeze))
        return network

    @property
    def _tied(self) -> Mapping[str, str]:
        """Weights that are the same as another one -> that one. Model files hold only the latter."""
        return blueprint(self).tied

    def _tensors(self) -> dict[str, np.ndarray]:
        weights = self._weights()
        tied = self._tied if weights else {}
        return {name: array for name, array in weights.items() if name not in tied}

    @extras_named()
    def _fit(
        self,
        prepare: Callable[[], Callable[[], Prepared]],
        output: str | os.PathLike[str] | None,
        resume: bool,
        progress: ProgressFor | None,
        verbose: int,
        watch: str | os.PathLike[str] | None,
        start_from: Any,
    ) -> Self:
        """What every `fit` does: train what `prepare` hands over. See `fitting.fit`."""
        started = time.monotonic()  # importing torch takes seconds
        from ..training import choose
        from .fitting import Run, fit

        self._begin_from(start_from, output)
        self._read_digest = self.compressed_ = None
        self.members_ = ()
        if progress is None and verbose:
            progress = partial(choose, False)
        run = Run(output=output, resume=resume, progress=progress, watch=watch, started=started)
        try:
            if self._instead is not None:
                self._instead(prepare)
                return self
            talks = fit(self, prepare, run)
        finally:
            self._start = None
        verbose = verbose if talks else 0
        if verbose and (line := self.verdict(self.metrics_)):
            print(shown(line), file=sys.stderr)
        if verbose and self.advice_:
            print(shown(self.advice_[0].english), file=sys.stderr)
        return self

    _instead: Callable[[Callable[[], Callable[[], Prepared]]], object] | None = None  # of what `fit` does

    def fit_as(self, instead: Callable[[Callable[[], Callable[[], Prepared]]], T], *args: Any, **kwargs: Any) -> T:
        """Call `fit`, and do something else with what it has prepared; for searches, see `tune`.

        Args:
            instead: Is given a function that prepares, as `fitting.attempt` is.
            args, kwargs: Of `fit`.

        Returns:
            What `instead` does.
        """
        found: list[T] = []
        self._instead = lambda prepare: found.append(instead(prepare))
        try:
            self.fit(*args, **kwargs)
        finally:
            del self._instead
        return found[0]

    def _begin_from(self, given: Any, output: str | os.PathLike[str] | None) -> None:
        """Read the model to go on from, if there is one, and give open options its values."""
        from .transfer import Start, settle

        if given is self:
            given = copy(self)  # with the options that it has now
        for name, value in self.get_params().items():  # what an earlier fit took is not taken by this one
            setattr(self, name, value)
        self._settled, self._rate_factor, self._start = {}, 1.0, None
        if given is None:
            if self.freeze:
                raise OptionError(f"freeze={','.join(names(self.freeze))} keeps parts of a model. Name it: start_from")
            return
        if self.only == "plain":
            raise OptionError('only="plain" trains no network, so nothing goes on from a model. Leave one of them out')
        if getattr(self, "vectors", None) is not None:
            raise OptionError("the embeddings of a model that is gone on from are its own. Leave out vectors")
        if output is not None and isinstance(given, str | os.PathLike) and _are_one(given, output):
            raise OptionError(
                f"'{os.fspath(output)}' is the model to go on from, which a run that is interrupted needs once more. "
                "Write to another file: output='...'"
            )
        self._start = Start.of(given, self)
        self._settled = settle(self, self._start)
        self._rate_factor = RATE

    def verdict(self, metrics: Mapping[str, Any]) -> str:
        """Whether the network earned its place in these metrics of `fit` or `evaluate`, as a sentence."""
        self._must_be_fitted()
        name = cell_names(self)
        network = name.upper() if name in ("lstm", "gru") else "network"
        return sentence(metrics, network, self.only == "plain")

    def stress(
        self,
        data: Any,
        y: Any = None,
        *,
        changes: Sequence[str] = (),
        query: str | None = None,
        encoding: str = "utf-8",
    ) -> dict[str, Any]:
        """A robustness card: the model and the strongest plain method when the data change in ways that happen.

        Args:
            data, y, query, encoding: As for `fit`. Of the training data, the part that was held out last is changed.
            changes: Names of changes, see `tasks.stress`; all that go with the data, if empty.

        Returns:
            "as it is" and each change -> "name" of the plain method, "measure", "model" and "figure", the plain
            method's.

        Raises:
            OptionError: A change does not go with such data, or the model is not compared with a plain method there.
        """
        from .stress import card

        self._must_be_fitted()
        return card(self._stressed(data, y, query, encoding), changes, self.task, int(self.seed))

    def _stressed(self, data: Any, y: Any, query: str | None, encoding: str) -> Stressed:
        """Data to change, and how they are evaluated."""
        raise OptionError(f"there is no stress test for the task '{self.task}'. Leave out --stress")

    def _is_training_data(self, fingerprint: str) -> bool:
        """Whether data of this fingerprint are those that the model learned from, which are split again as then."""
        return bool(fingerprint == self.provenance_["data"]["fingerprint"])

    def plain_options(self, **changed: Any) -> dict[str, Any]:
        """Options by name, as JSON holds them, some of them changed."""
        options = {f.name: getattr(self, f.name) for f in fields(self)}
        plain: dict[str, Any] = bundle.plain({**options, "cell": self.find_cell().name, **changed})
        return plain

    def word_vectors(self) -> tuple[Sequence[str], np.ndarray]:
        """The words that the network knows, and their embeddings, (n, E) float32: of the first of several networks or
        columns, and of the source where there are two languages.

        Raises:
            OptionError: It has no embedding of words.
        """
        self._must_be_fitted()
        words, weight, first = self._word_embedding()
        if not words or weight not in self._weights():
            raise OptionError(f"this model of the task '{self.task}' has no network that reads words")
        return words, self._weights()[weight][first : first + len(words)]

    def _word_embedding(self) -> tuple[Sequence[str], str, int]:
        """The words, the name of the weight that has a row for each, and the row of the first one."""
        return (), "", 0

    # Streams.

    def streams(self) -> Streams:
        """Many inputs that arrive piece by piece, each with a state of its own; see `runtime.streams.Streams`.

        Raises:
            OptionError: The model has to read a whole input before it answers.
        """
        self._must_be_fitted()
        return Streams(self._live())

    def _live(self) -> Live[Any]:
        """What streams of this model run."""
        raise OptionError(f"a model of the task '{self.task}' has to read its input whole, so that it has no streams")

    @property
    def _digest(self) -> str:
        """Of the model, as in its file."""
        return self._read_digest or bundle.digest(self._whole_document(), self._tensors())

    _read_digest: str | None = None  # of the model file, if it was read from one

    # The model file.

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file. ModelFileError if that cannot be done."""
        self._must_be_fitted()
        bundle.check_name(path)
        tensors = self._tensors()
        if self.compressed_ is not None:
            tensors = packed(tensors, self._weights().keys(), self.compressed_.weights)
        bundle.save(path, self._whole_document(), tensors)

    def _whole_document(self) -> dict[str, Any]:
        return {**self._predicting_document(), "training": self.provenance_}

    def _predicting_document(self) -> dict[str, Any]:
        """All of it that predicting needs, which is known while a model still learns."""
        document = {"task": self.task, **self._document(), "options": self.plain_options()}
        if self.members_:
            document["members"] = [member.to_json(self) for member in self.members_]
        document["schema"] = None if self.schema_ is None else asdict(self.schema_)
        if self.compressed_ is not None:
            document["compressed"] = asdict(self.compressed_)
        return document

    @classmethod
    @extras_named()
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model file. ModelFileError if it is damaged or of another task."""
        found = bundle.load(path)
        document = found.document
        if document.get("task") != cls.task:
            raise ModelFileError(f"'{path}' is a model of the task {document.get('task')!r:.40}, not '{cls.task}'")
        try:
            self = cls(**options_of(document, cls), cell=cell_from(document))
            self.schema_ = read(Schema | None, document.get("schema"), "schema")
            self.provenance_ = read(Provenance, document["training"], "training")
            self.metrics_ = self.provenance_["metrics"]
            history = self.provenance_.get("history", {})
            self.history_ = read(dict[str, list[float | None]], history, "training.history")
            self.compressed_ = compressed(document)
            self._restore(document, found.tensors)
            self._read_digest = str(document["sha256"])
            runs = Cell.from_json(self._document()["cell"])
            if runs.equations != Cell.from_json(document["cell"]).equations:
                zoneout = getattr(self, "zoneout", 0)
                raise ModelFileError(f"its cell '{runs.name}' is not the one that a zoneout of {zoneout} makes of it")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ModelFileError(
                f"'{path}' is incomplete or contradicts itself ({reason:.400}). Train it again."
            ) from error
        return self


def _are_one(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)
