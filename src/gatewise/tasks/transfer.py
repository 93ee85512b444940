"""Going on from a model that was trained before: which of its weights a new network begins with, and which stay as
they are.

Weights are matched by the names of tensors, and within a tensor by the names of its places: the rows of an embedding
are its tokens, those of an output layer its classes. So a vocabulary may have grown, and classes may be others. What
has no name must have the same size.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import NotFittedError, OptionError, suggest
from ..runtime.network import Recurrent, place_of
from .members import cannot

Names = Sequence[Hashable]
Axes = Mapping[str, Mapping[int, Names]]  # tensor -> axis -> what its places are

_MEMBER = re.compile(r"^members\.\d+\.")  # before the names of an ensemble's weights
_LAYER = re.compile(r"_l(\d+)(?:_reverse)?$")  # after those of a recurrent layer's
_SHOWN = 4  # parts that are listed


@dataclass(frozen=True)
class Start:
    """A model to go on from.

    Attributes:
        model: As it was read.
        name: Of its file, or its class.
        digest: As in its file.
        weights: By name.
        axes: What the places of its weights are.
        settings: Options that it decides, with its values.
    """

    model: Any
    name: str
    digest: str
    weights: Mapping[str, np.ndarray]
    axes: Axes
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, given: Any, estimator: Any) -> Start:
        """The model that was given, a file or a fitted estimator, for an estimator that can go on from it.

        Raises:
            ModelFileError: There is no such file, or it is damaged.
            OptionError: It is of a task whose weights are of no use here, or has no network.
        """
        from . import load

        if hasattr(given, "task") and hasattr(given, "__sklearn_is_fitted__"):
            if not given.__sklearn_is_fitted__():
                raise NotFittedError(f"start_from is a {type(given).__name__} that has learned nothing yet. Fit it")
            # What a fit learns is assigned, never changed in place: so this stays as it is, even if it is fitted again.
            model, name = copy.copy(given), type(given).__name__
        elif isinstance(given, str | os.PathLike):
            model, name = load(given), Path(given).name
        else:
            raise OptionError(f"start_from is a model file or a fitted estimator, not {given!r:.60}")
        possible = (estimator.task, *estimator.encoders_from)
        if model.task not in possible:
            raise OptionError(
                f"'{name}' is a model of the task '{model.task}'; {estimator.task} goes on from {' or '.join(possible)}"
            )
        if model.members_:
            raise cannot("training goes on from one alone")
        if model.compressed_ is not None:
            raise OptionError(
                f"'{name}' is compressed, and training does not go on from rounded weights. "
                "Go on from the model that it was made from"
            )
        if not (weights := model._weights()):
            raise OptionError(f"'{name}' was made with only='plain' and has no network to go on from")
        settings = estimator._settings_of(model)
        offered, axes = estimator._offered(model, weights)
        return cls(model, name, model._digest, offered, axes, settings)

    def into(self, network: Any, axes: Axes, averaged: Sequence[str], recomputed: Sequence[str]) -> Kept:
        """Give a new network, a `torch.nn.Module` on the CPU, the weights that fit it.

        Args:
            axes: What the places of its weights are.
            averaged: Weights whose new rows begin at the mean of the others, not as drawn (Hewitt 2021, "Initializing
                new word embeddings for pretrained language models").
            recomputed: Weights that follow from the data and are not taken.

        Raises:
            OptionError: None fits.
        """
        kept = Kept()
        for name, tensor in network.state_dict().items():
            if name not in recomputed:
                found = self._fitted(name, tensor.numpy(), axes, name in averaged, kept)
                tensor.copy_(tensor.new_tensor(found))
        if not (kept.whole or kept.partly):
            raise OptionError(f"no weight of '{self.name}' has a place in this network. Train it without start_from")
        return kept

    def _fitted(self, name: str, drawn: np.ndarray, axes: Axes, averaged: bool, kept: Kept) -> np.ndarray:
        """A tensor of the new network: what was drawn, and the old weights in their places."""
        alone = _MEMBER.sub("", name)  # all networks of an ensemble read alike, and may begin with one encoder
        old = self.weights.get(name, self.weights.get(alone))
        ours, theirs = axes.get(alone, {}), self.axes.get(alone, {})
        if old is None or old.ndim != drawn.ndim:
            kept.new.append(name)
            return drawn.copy()
        into, out_of = [], []
        for axis, (size, before) in enumerate(zip(drawn.shape, old.shape, strict=True)):
            names, known = ours.get(axis), theirs.get(axis)
            if names is not None and known is not None:
                place = {own: number for number, own in enumerate(known)}
                both = [(number, place[own]) for number, own in enumerate(names) if own in place]
            else:
                both = [(number, number) for number in range(size)] if size == before else []
            into.append([new for new, _ in both])
            out_of.append([known for _, known in both])
        if not all(into):
            kept.new.append(name)
            return drawn.copy()
        found = drawn.copy()
        taken = old[np.ix_(*out_of)]
        if averaged:
            found[...] = taken.mean(0)
        found[np.ix_(*into)] = taken
        for axis, places in enumerate(into):
            if len(places) < drawn.shape[axis]:
                kept.partly[name] = (axis, len(places), drawn.shape[axis])
                break
        else:
            kept.whole.append(name)
        return found

    def document(self, kept: Kept) -> dict[str, Any]:
        """For the model file."""
        return {"file": self.name, "task": self.model.task, "sha256": self.digest, "weights": str(kept)}


@dataclass
class Kept:
    """What of a network was taken from a model, by the names of its weights.

    Attributes:
        whole: All of it.
        partly: Axis, places that were taken, and how many there are.
        new: None of it.
    """

    whole: list[str] = field(default_factory=list)
    partly: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """kept 12 of 14 tensors (embedding: 4,120 of 5,003 rows), new: output"""
        rows: dict[str, str] = {}
        for name, (axis, taken, size) in self.partly.items():
            rows.setdefault(_owner(name), f"{_owner(name)}: {taken:,} of {size:,} {('rows', 'columns')[axis > 0]}")
        count = len(self.whole) + len(self.partly)
        text = f"kept {count} of {count + len(self.new)} tensors"
        text += f" ({_listed([*rows.values()], '; ')})" if rows else ""
        new = [*dict.fromkeys(_owner(name) + " backward" * name.endswith("_reverse") for name in self.new)]
        return text + (f", new: {_listed(new)}" if new else "")


def _owner(name: str) -> str:
    """The layer of a weight, whichever network of an ensemble it is in."""
    return _MEMBER.sub("", name).rpartition(".")[0] or name


def _listed(names: Sequence[str], mark: str = ", ") -> str:
    return mark.join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def settle(estimator: Any, start: Start) -> dict[str, tuple[Any, Any]]:
    """Give the options that decide the shapes of weights the values of a model, where they were left open.

    Returns:
        Those that were given a value: what they were before, and that value.

    Raises:
        OptionError: One was given that contradicts the model.
    """
    taken = {}
    defaults = type(estimator)().get_params()
    for name, value in start.settings.items():
        given = getattr(estimator, name)
        if _plain(given, value) == _plain(defaults[name], value) or given is None:
            setattr(estimator, name, value)
            taken[name] = (given, value)
        elif value is not None and _plain(given, value) != _plain(value, value):
            shown, held = (getattr(own, "name", own) for own in (given, value))
            raise OptionError(
                f"{name}={shown!r:.60} contradicts '{start.name}', with which {name} is {held!r:.60}. Leave it out"
            )
    return taken


def _plain(value: Any, like: Any) -> Any:
    """A value as it can be compared: "mean,max" and ["mean", "max"] are one."""
    if hasattr(value, "equations"):
        return value.equations
    if isinstance(like, tuple | list) and isinstance(value, str):
        return [name.strip() for name in value.split(",")]
    return list(value) if isinstance(value, tuple) else value


def freeze(network: Any, names: Sequence[str]) -> None:
    """Let no training change these parts of a network.

    Args:
        names: "embedding" or "encoder.layers" as `gatewise info --layers` names them, "layers.0" for the first of
            several recurrent layers, or a single weight.

    Raises:
        OptionError: There is no such part, or nothing would be left to learn.
    """
    parameters = dict(network.named_parameters(remove_duplicate=False))
    parts = {name: {*_parts_of(name)} for name in parameters}
    frozen = []
    for wanted in names:
        found = [name for name, own in parts.items() if wanted in own]
        if not found:
            known = {part for own in parts.values() for part in own if not part.startswith("members")}
            raise OptionError(suggest("part of the network", wanted, known))
        frozen += found
    for name in frozen:
        parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise OptionError(f"freeze={','.join(names)} leaves nothing to learn. Leave some of it out")
    for name, module in network.named_modules():
        own = {f"{name}.{weight}" for weight, _ in module.named_parameters(recurse=False)}
        if hasattr(module, "frozen") and own & {*frozen}:
            module.frozen = True


def _parts_of(name: str) -> Iterator[str]:
    """Every name by which a weight can be frozen: its own, those of the layers around it, "layers.0"."""
    for own in {name, _MEMBER.sub("", name)}:
        yield own
        pieces = own.split(".")
        yield from (".".join(pieces[:count]) for count in range(1, len(pieces)))
        if layer := _LAYER.search(own):
            yield f"{own.rpartition('.')[0]}.{layer[1]}"


# Names of places.


def input_axes(part: Recurrent, prefix: str, names: Names) -> dict[str, dict[int, Names]]:
    """What the places of recurrent layers' weights are, which read something.

    Args:
        prefix: Before the weights' names.
        names: Of the features that the first layer reads.
    """
    found: dict[str, dict[int, Names]] = {}
    inner = [(way, unit) for way in range(part.ways) for unit in range(part.proj_size or part.hidden_size)]
    for layer in range(part.num_layers):
        read = names if layer == 0 else inner
        sizes, wider = (part.cell.sizes(len(read) + more, part.hidden_size, part.proj_size) for more in (0, 1))
        for stored, parameter in zip(part.cell.stored(), part.cell.parameters, strict=True):
            for axis, (size, other) in enumerate(zip(parameter.shape(sizes), parameter.shape(wider), strict=True)):
                if other > size:
                    for way in range(part.ways):
                        found |= {f"{prefix}{place_of(name, layer, way)}": {axis: read} for name in stored}
    return found


def row_names(names: Names, *tensors: str) -> dict[str, dict[int, Names]]:
    """The same of tensors whose rows have these names."""
    return {name: {0: names} for name in tensors}
