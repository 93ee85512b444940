"""What all tasks share: options by name, training into one file, saving, loading. Importing it costs no torch."""

from __future__ import annotations

import hashlib
import inspect
import math
import os
import platform
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from .. import bundle, cells
from ..algebra import Cell
from ..errors import ModelFileError, OptionError, suggest
from ..training import Plan, Progress

if TYPE_CHECKING:
    from torch import nn

    from ..training import Batches, Outcome, Trainable

Meter = Callable[[str, float], Progress]  # of what is counted, in the plural, and of how many of it a step learns from


class Estimator(ABC):
    """A task as scikit-learn's users expect one: options by name, `fit` that returns itself, `clone` that works.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`.
        metrics_: Figures by part ("train", "validation", "test"), and of the "baselines".
        outcome_: How training ended.
    """

    task: ClassVar[str]  # its name on the command line and in model files
    kind: ClassVar[str]  # what scikit-learn calls it: "classifier", "regressor", "outlier_detector"; "" for the rest

    model_: Any
    metrics_: dict[str, Any]
    outcome_: Outcome
    _provenance: dict[str, Any]

    # The estimator's contract.

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor options by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change options. OptionError for one that does not exist."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise OptionError(suggest("option", name, known))
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        usual = {n: p.default for n, p in inspect.signature(type(self)).parameters.items()}
        given = {n: v for n, v in self.get_params().items() if v != usual[n]}
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in given.items())})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

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

    def _must_be_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            name = type(self).__name__
            raise OptionError(f"this {name.lower()} has learned nothing yet. Call fit, or {name}.load(a model file)")

    # What a task says of itself.

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
        """Undo `_document`, and build `model_` with these tensors (see `_filled`).

        Whatever Python raises about a document that contradicts itself becomes a ModelFileError.
        """

    def _tensors(self) -> dict[str, np.ndarray]:
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.model_.state_dict().items()}

    # Training.

    def _learn(
        self,
        model: Trainable,
        training: Batches,
        validation: Batches,
        plan: Plan,
        *,
        data: dict[str, Any],
        identity: dict[str, Any],
        measure: Callable[[bool], dict[str, Any]],
        unit: str,
        per_step: float,
        output: str | os.PathLike[str] | None,
        resume: bool,
        progress: Meter | None,
        on_evaluation: Callable[[int], str | None] | None = None,
    ) -> None:
        """Train `model`, measure it, and write the model file; what is left of a training that was stopped can be used.

        Args:
            data: What it learns from, for the model file: "name", "fingerprint" and more.
            identity: What must be the same for a run to be resumed, beside options and data.
            measure: Gives the figures; with those of the baselines, if true.
            unit, per_step: What progress counts, and how many of it a step learns from.
            output, resume, progress: As `fit` has them.
            on_evaluation: See `training.train`.

        Raises:
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        import torch

        from ..training import TrainingStopped, train

        self.model_ = model
        with tempfile.TemporaryDirectory() as scratch:
            beside = Path(output) if output is not None else Path(scratch) / "model"
            checkpoint = bundle.checkpoint_of(beside)
            stopped: TrainingStopped | None = None
            started = time.time()
            try:
                self.outcome_ = train(
                    model,
                    training,
                    validation,
                    plan,
                    checkpoint=checkpoint,
                    metrics=bundle.metrics_of(beside),
                    identity={**self._identity(), **identity, "data": data["fingerprint"]},
                    resume=resume,
                    progress=progress(unit, per_step) if progress else None,
                    on_evaluation=on_evaluation,
                )
            except TrainingStopped as error:
                stopped, self.outcome_ = error, error.outcome
                if self.outcome_.step == 0:  # nothing was learned, so there is nothing to keep
                    raise
            finished = stopped is None and self.outcome_.reason != "interrupted"
            leaving: KeyboardInterrupt | None = None
            try:
                self.metrics_ = measure(finished)
            except KeyboardInterrupt as error:  # a model that nobody waits to see measured is one to keep
                self.metrics_, finished, leaving = {}, False, error
            self._provenance = {
                "data": data,
                "seed": getattr(self, "seed", 0),
                "ended": self.outcome_.reason,
                "steps": self.outcome_.step,
                "best_step": self.outcome_.best_step,
                "seconds": round(self.outcome_.seconds, 1),
                "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
                "threads": torch.get_num_threads(),
                "versions": {
                    "gatewise": version("gatewise"),
                    "torch": torch.__version__,
                    "python": platform.python_version(),
                },
                "metrics": self.metrics_,
            }
            if output is not None:
                try:
                    self.save(output)
                except ModelFileError as error:
                    if stopped is not None:  # a full disk stopped training, and is full still
                        raise stopped from error
                    way_out = f"What was learned is kept in {checkpoint}. Make room, then resume."
                    raise ModelFileError(f"{error} {way_out}") from error
                if finished:
                    checkpoint.unlink(missing_ok=True)
            if stopped is not None:
                kept = f" The best weights so far are in {os.fspath(output)}." if output is not None else ""
                raise TrainingStopped(f"{stopped}{kept}", stopped.outcome) from stopped
            if leaving is not None:
                raise leaving

    def _planned(self, steps: int, learning_rate: float, evaluate_every: int | None = None, warmup: int = 20) -> Plan:
        """How long and how fast to train, as the options say.

        Args:
            evaluate_every: Steps between validations; a twentieth of all, if omitted.
            warmup: The warm-up is one part in so many.
        """
        options: Any = self
        return Plan(
            steps=steps,
            evaluate_every=evaluate_every or math.ceil(steps / 20),
            learning_rate=learning_rate,
            warmup=min(steps // 2, max(1, steps // warmup)),
            final_rate=0.01,
            weight_decay=float(options.weight_decay),
            clip=None if options.clip is None else float(options.clip),
            patience=None if options.patience is None else int(options.patience),
            seed=int(options.seed),
        )

    def _begin(self, output: str | os.PathLike[str] | None, resume: bool) -> None:
        """What every `fit` does once its options are checked."""
        if resume and output is None:
            raise OptionError("resume goes on from the checkpoint beside the output: name that file, output='...'")
        threads = getattr(self, "threads", None)
        if threads is not None:
            import torch

            torch.set_num_threads(int(threads))

    def _identity(self) -> dict[str, Any]:
        import torch

        options = {name: value for name, value in self._options().items() if name not in ("preset", "threads")}
        equations = hashlib.sha256(self._cell().equations.encode()).hexdigest()[:12]  # one's own may have been edited
        return {**options, "equations": equations, "threads": torch.get_num_threads()}

    def _cell(self) -> Cell:
        """The cell that its option names."""
        cell: str | Cell = getattr(self, "cell", "lstm")
        return cells.find(cell) if isinstance(cell, str) else cell

    def _options(self) -> dict[str, Any]:
        """Constructor options as JSON holds them."""
        params = self.get_params()
        if "cell" in params:
            params["cell"] = self._cell().name
        options: dict[str, Any] = bundle.plain(params)
        return options

    # The model file.

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file. ModelFileError if that cannot be done."""
        self._must_be_fitted()
        document = {"task": self.task, **self._document(), "options": self._options(), "training": self._provenance}
        bundle.save(path, document, self._tensors())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model file. ModelFileError if it is damaged or of another task."""
        found = bundle.load(path)
        document = found.document
        if document.get("task") != cls.task:
            raise ModelFileError(f"'{path}' is a model of the task {document.get('task')!r:.40}, not '{cls.task}'")
        try:
            options = {**document["options"]}
            if "cell" in options:
                options["cell"] = cell_from(document)
            self = cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in options.items()})
            import torch

            self._restore(document, {name: torch.from_numpy(array) for name, array in found.tensors.items()})
            runs = Cell.from_json(self._document()["cell"])
            if runs.equations != Cell.from_json(document["cell"]).equations:
                zoneout = options.get("zoneout", 0)
                raise ModelFileError(f"its cell '{runs.name}' is not the one that a zoneout of {zoneout} makes of it")
            self._provenance = document["training"]
            self.metrics_ = self._provenance["metrics"]
            str(self._provenance["data"]["fingerprint"])
        except (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ModelFileError(f"'{path}' is incomplete or contradicts itself ({reason}). Train it again.") from error
        self.model_.eval()
        return self


def cell_from(document: Mapping[str, Any]) -> str | Cell:
    """The option `cell` of a model: the name of one of ours, or a cell of the user's own."""
    cell = Cell.from_json(document.get("cell_without_zoneout", document["cell"]))
    ours = cell.name in cells.NAMES and cells.find(cell.name).equations == cell.equations
    return cell.name if ours else cell


def cells_of(layers: Any) -> dict[str, Any]:
    """For a model's document: the cell that `layers` (a `Recurrent`) run outside training and, if zoneout makes it
    another one than was asked for, that one too."""
    runs = layers.regularisers.cell(training=False)
    if runs.equations == layers.cell.equations:
        return {"cell": layers.cell.to_json()}
    return {"cell": runs.to_json(), "cell_without_zoneout": layers.cell.to_json()}


def filled(build: Callable[[], nn.Module], tensors: Mapping[str, Any]) -> Any:
    """The network that `build` makes, holding these tensors.

    Raises:
        ModelFileError: They are not its weights.
    """
    import torch

    with torch.device("meta"):  # without memory, for a stranger's file may claim any size
        wanted = {name: tuple(weight.shape) for name, weight in build().state_dict().items()}
    for name in wanted.keys() | tensors.keys():
        has, needs = tuple(tensors[name].shape) if name in tensors else None, wanted.get(name)
        if has != needs:
            raise ModelFileError(f"{name} has the shape {has}, where its sizes say {needs}")
    model = build()
    model.load_state_dict(dict(tensors))
    return model
