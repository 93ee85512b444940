"""What is served: models by name, each with what it can be asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .. import bundle
from ..decoding.ctc import log_softmax
from ..errors import DataError, GatewiseError, OptionError, suggest
from ..runtime.language_model import LanguageModel
from ..tasks import Tracer, load
from .limits import Limits, Refused
from .metrics import Metrics
from .sessions import Sessions

_SHOWN = 10  # of the tokens that may come next


class Served:
    """A model, as clients see it.

    Args:
        path: Its file. The name of the file without its suffix is the model's.

    Attributes:
        name, task: Of the model.
        digest: Identifies the file, whatever it is called.
        language_model: If it is one; else None.
        tracer: If it continues numbers; else None.
        sessions: If it can stream; else None.

    Raises:
        ModelFileError: It is no model.
    """

    def __init__(self, path: str | os.PathLike[str], limits: Limits, metrics: Metrics):
        self.name = Path(path).stem
        found = bundle.load(path)
        self.task, self.digest = str(found.document.get("task")), str(found.document["sha256"])
        self.language_model: LanguageModel | None = None
        self.tracer: Tracer | None = None
        self.estimator: Any = None
        if self.task != "generate":
            self.estimator = load(path)
        elif "channels" in found.document:
            self.tracer = Tracer(found.document, found.tensors)
        else:
            self.language_model = LanguageModel.of(found.document, found.tensors)
        self.sessions: Sessions | None = None
        self._why_not = f"a model of the task '{self.task}' cannot be streamed"
        streams = getattr(self.language_model or self.tracer or self.estimator, "streams", None)
        try:
            if streams is not None:
                self.sessions = Sessions(streams(), self.name, limits, metrics)
        except GatewiseError as error:
            self._why_not = str(error)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="gatewise-predict")

    def streaming(self) -> Sessions:
        """Its sessions. Refused if it has none, with the reason."""
        if self.sessions is None:
            raise Refused(400, "task", self._why_not)
        return self.sessions

    def writing(self) -> LanguageModel:
        """The language model. Refused if it is none."""
        if self.language_model is None:
            raise Refused(400, "task", f"'{self.name}' is a model of the task '{self.task}', and does not write text")
        return self.language_model

    def description(self) -> dict[str, Any]:
        """What a client has to know to use it."""
        found: dict[str, Any] = {"id": self.name, "object": "model", "created": 0, "owned_by": "gatewise"}
        found |= {"task": self.task, "digest": self.digest, "streams": self.sessions is not None}
        found |= {"channels": self.channels, "predicts": self.estimator is not None}
        found["answers"] = hasattr(self.estimator, "answers")
        if self.language_model is not None:
            vocabulary = self.language_model.vocabulary
            found |= {"unit": vocabulary.kind, "tokens": len(vocabulary)}
        return found

    def shut(self) -> None:
        """Give its threads back."""
        self.thread.shutdown()
        if self.sessions is not None:
            self.sessions.shut()

    @property
    def channels(self) -> list[str]:
        """Names of the values of a step, where steps are numbers."""
        if self.tracer is not None:
            return list(self.tracer.channels.names)
        return list(getattr(self.estimator, "channels_", ()))

    def piece(self, given: Any) -> Any:
        """What a client sent, JSON or bytes, as a piece of a stream. DataError if it cannot be one."""
        if isinstance(given, bytes):
            width = len(self.channels)
            if not width:
                raise DataError("this model reads no numbers. Send JSON")
            if len(given) % (4 * width):
                raise DataError(f"{len(given)} bytes are no steps of {width} float32 values each")
            return np.frombuffer(given, "<f4").reshape(-1, width)
        if not isinstance(given, str | list):
            raise DataError(f"the steps are text, or a list of steps, not {given!r:.60}")
        if self.language_model is not None and not isinstance(given, str):
            raise DataError(f"the steps of this model are text, not {given!r:.60}")
        return given

    def answer(self, found: Any) -> Any:
        """What a stream answered, as JSON: of a language model what is likeliest next, with log-probabilities."""
        if self.language_model is None:
            return bundle.plain(found)
        return {"next": likeliest(self.language_model, log_softmax(found), _SHOWN)}


def likeliest(model: LanguageModel, log_p: np.ndarray, count: int) -> dict[str, float]:
    """The texts of the tokens with the highest log-probabilities, and these; the highest first."""
    best = np.argsort(-log_p, kind="stable")[:count].tolist()
    return {model.vocabulary.decode([token]): float(log_p[token]) for token in best}


class Models:
    """All that a server serves.

    Args:
        paths: Model files.

    Raises:
        OptionError: Two have the same name.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], limits: Limits, metrics: Metrics):
        self._by_name: dict[str, Served] = {}
        for path in paths:
            model = Served(path, limits, metrics)
            if model.name in self._by_name:
                raise OptionError(f"two models are called '{model.name}'. Rename one of the files")
            self._by_name[model.name] = model

    def __iter__(self) -> Iterator[Served]:
        return iter(self._by_name.values())

    def find(self, name: str) -> Served:
        """Refused if there is none of this name."""
        if name not in self._by_name:
            raise Refused(404, "model", suggest("model", name[:60], self._by_name))
        return self._by_name[name]

    def session(self, id: str) -> tuple[Served, Any]:
        """A session, and whose it is. Refused if there is none of this id, or it expired."""
        for model in self:
            if model.sessions is not None and (found := model.sessions.find(id)) is not None:
                return model, found
        raise Refused(404, "session", "there is no such session: it was closed, or never opened")
