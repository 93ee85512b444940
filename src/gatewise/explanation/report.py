"""What an explanation says, as a document: pages, tables and programs are made of it.

    report = Report.from_json(json.loads(text))
    report.to_json()  # the same document

A part that was not asked for, or that this model cannot have, is None, and `missing` says why. All times are steps of
an input, counted from 0. All scores are those of the target, in its unit. What is inside the network is in `inside.py`.

The attribution is a sum that adds up: `baseline` plus what each step adds, plus the `others`, the initial state and the
remainder, is the `score`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from ..document import Count, Share, read
from .composition import Composition
from .inside import Connectivity, Flip, FoundUnit, GateAblation, GridStream, Interaction, LayerMemory, Stream, Walk
from .packed import Packed, Size
from .page import framed

FORMAT = 1
GAP = 1e-6  # what a sum may differ from its parts, relative to the largest of them: their rounding

Verdict = Literal["reliable", "rough", "do not rely on this"]


# 1. The answer.


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An answer that the model could have given.

    Attributes:
        name: As the user knows it: a class, a tag, a word, a quantile.
        probability: By the model's final answer, plain methods included. None where it gives no probability.
        score: By the network alone, in the target's unit before one was subtracted from the other: a logit, a value.
        base_rate: How often it is the answer, see `Answer.base_rate_of`.
    """

    name: str
    probability: Share | None = None
    score: float | None = None
    base_rate: Share | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model says of this row, and how sure it is.

    Attributes:
        text: The answer in words, numbers in the user's units.
        probability: Of this answer; None where it has none.
        interval: From and to in the user's units, with `coverage`; None where none is known.
        coverage: Share of the values that should lie in the interval.
        base_rate_of: What the base rates of the choices were counted in: "120 rows of reviews.csv".
        choices: The most probable ones, the answer first.
        network_share: Of the network in the answer. The rest is that of plain methods, which are not explained.
        plain: Name of the plain methods; "" if they have no share.
    """

    text: str
    probability: Share | None = None
    interval: tuple[float, float] | None = None
    coverage: Share | None = None
    base_rate_of: str = ""
    choices: Sequence[Choice] = ()
    network_share: Share = 1.0
    plain: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The one number that is explained.

    Attributes:
        kind: "class", "label", "number" (classify); "value", "quantile" (forecast); "tag" (tag); "symbol"
            (transcribe); "word" (translate, caption); "anomaly" (detect); "next" (generate).
        text: In words: "the lead of positive over negative".
        unit: Of the score: "nats" (differences of logits and log-probabilities), or the unit of the values.
        name: What it is the score of: a class, a tag, a word, a column.
        against: What the score of is subtracted; "" for nothing.
        step: Of the answer: of a tag, symbol, word, anomaly, or of the next character; None for the whole row.
        horizon: Steps ahead that a value is forecast, from 1; None for other targets.
        quantile: Of a forecast; None for other targets.
        option: As `--target` takes it.
    """

    kind: Literal["class", "label", "number", "value", "quantile", "tag", "symbol", "word", "anomaly", "next"]
    text: str
    unit: str
    name: str
    against: str = ""
    step: Size | None = None
    horizon: Count | None = None
    quantile: Share | None = None
    option: str = ""


# 2. The input and what it adds to the score.


@dataclass(frozen=True, kw_only=True)
class Input:
    """Something that the model read, step by step.

    A translator has two, the source and what was written so far; a captioner an image and what was written.

    Attributes:
        name: "text", "series", "source", "written", "image", "sound", "pen"; unique in a report.
        kind: How to show it. "tokens": words or characters in `labels`. "numbers": `values` by channel. "spectrum":
            numbers whose channels are neighbouring frequencies. "image": steps are places of a grid, row by row.
        labels: Of each step (T,): a word, a character, a time. "" where there is none.
        channels: Their names (C,); one that is "" for tokens.
        values: (T, C) in the user's units, NaN where missing; None for tokens.
        grid: Rows and columns of an image, whose product is T; None for others.
        separator: What stands between tokens: " " for words, "" for characters.
    """

    name: str
    kind: Literal["tokens", "numbers", "spectrum", "image"]
    labels: Sequence[str]
    channels: Sequence[str] = ("",)
    values: Packed | None = None
    grid: tuple[Count, Count] | None = None
    separator: str = ""

    def __post_init__(self) -> None:
        T, C = len(self.labels), len(self.channels)
        if self.values is not None and tuple(self.values.shape) != (T, C):
            raise ValueError(f"values are {list(self.values.shape)}, where there are {T} steps of {C} channels")
        if self.grid is not None and self.grid[0] * self.grid[1] != T:
            raise ValueError(f"a grid of {self.grid[0]} by {self.grid[1]} has not {T} places")


@dataclass(frozen=True, kw_only=True)
class Added:
    """What the steps of one input add to the score.

    Attributes:
        input: Its name.
        steps: (T,) what each step adds, of all its channels; by the method that `Provenance.method` names.
        channels: (T, C) the same by channel; None for tokens and where channels cannot be told apart.
        occluded: (T,) by how much the score falls when a step is replaced by the usual one.
    """

    input: str
    steps: Sequence[float]
    channels: Packed | None = None
    occluded: Sequence[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Other:
    """A part of the score that belongs to no step.

    Attributes:
        text: "the transition from B-PER", "the linear part", "sex = female".
        value: What it adds.
    """

    text: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What adds to the score, and adds up to it.

    Attributes:
        score: Of the target for this row.
        baseline: Of the target where every step is the usual one.
        usual: What the usual step is: "the mean of the training inputs".
        added: By input, in the order of `Report.inputs`.
        others: Parts that belong to no step of an input.
        initial_state: What the state that the layers began with adds; None where they begin with zeros.
        remainder: What integrating in a finite number of points leaves unexplained.
    """

    score: float
    baseline: float
    usual: str
    added: Sequence[Added]
    others: Sequence[Other] = ()
    initial_state: float | None = None
    remainder: float = 0.0

    def __post_init__(self) -> None:
        parts = [value for one in self.added for value in one.steps] + [one.value for one in self.others]
        parts += [self.baseline, self.remainder, self.initial_state or 0.0]
        largest = max(1.0, abs(self.score), *map(abs, parts))
        if abs(sum(parts) - self.score) > GAP * largest * max(1, len(parts)) ** 0.5:
            raise ValueError(f"its parts sum to {sum(parts):.7g}, but the score is {self.score:.7g}")


@dataclass(frozen=True, kw_only=True)
class Term:
    """One of the parts that "because" names.

    Attributes:
        text: A word, "co2 at 14:00"; for what is summed up: "17 other steps".
        kind: What it is.
        value: What it adds to the score.
        input, step: Where it is, of kind "step"; else None.
    """

    text: str
    kind: Literal["baseline", "step", "rest", "other", "initial state", "remainder"]
    value: float
    input: str | None = None
    step: Size | None = None


@dataclass(frozen=True, kw_only=True)
class Because:
    """The largest parts as a sentence that adds up.

    Attributes:
        sentence: In English, a page has its own words in other languages.
        terms: What adds up to the score: the baseline, the largest steps, and the rest in one.
        score: Their sum.
    """

    sentence: str
    terms: Sequence[Term]
    score: float


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The same question against another answer, to be chosen in a page."""

    target: Target
    attribution: Attribution


# 3. How far to rely on it, and how it was made.


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How far the attribution can be relied on, as measured on this row.

    Attributes:
        gap: What the parts miss of the score's difference from the baseline, relative to it, or to the largest part.
        points: Points that were integrated over, added until the gap is small; or random orders of the steps.
        deleted, deleted_random: By how much the score changed, on average, while the most relevant steps were replaced
            one by one by the usual step, and as many steps at random.
        ratio: Of both; None where random steps change nothing.
        agreement: Rank correlation of the attribution and occlusion; None with fewer than three steps.
        randomised: Mean rank correlation with integrated gradients after all weights were shuffled. High: the
            attribution shows the input, and not what was learned. None without torch, or with fewer than three steps.
        noise: Rank correlation with the attribution under a little noise of the inputs; None with fewer than three.
        verdict: By fixed thresholds, see `reliability.py`.
        reasons: Why it is not "reliable", one sentence each.
    """

    gap: float
    points: Count
    deleted: float
    deleted_random: float
    ratio: float | None
    agreement: float | None
    randomised: float | None
    noise: float | None
    verdict: Verdict
    reasons: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How the report was made.

    Attributes:
        model: Name of the model file; "" for a model in memory.
        fingerprint: SHA-256 of the model, as in its file.
        task: Of the model.
        cell: Name of its cell.
        equations: Of the cell, one a line, as in its source.
        data: Name of the data.
        row: Number of the row in them, from 0.
        command: What makes the report again; "" for one made in Python.
        method: Of attribution, in words.
        points: That were integrated over, or random orders.
        seed: Of what is drawn at random: deletions, weights, noise.
        versions: Of Gatewise, Python, numpy, and torch where it was needed.
        seconds: That it took.
        cell_program: The cell, as a model file has it; empty where it is not known.
    """

    model: str
    fingerprint: str
    task: str
    cell: str
    equations: Sequence[str]
    data: str
    row: Size
    command: str
    method: str
    points: Size
    seed: Size
    versions: Mapping[str, str]
    seconds: float
    cell_program: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Report:
    """An answer explained.

    Attributes:
        missing: Name of a part that is not there -> why, as a sentence.
    """

    answer: Answer
    target: Target
    inputs: Sequence[Input]
    provenance: Provenance
    attribution: Attribution | None = None
    because: Because | None = None
    composition: Composition | None = None
    contrasts: Sequence[Contrast] | None = None
    connectivity: Connectivity | None = None
    memory: Sequence[LayerMemory] | None = None
    streams: Sequence[Stream] | None = None
    grids: Sequence[GridStream] | None = None
    gate_ablation: Sequence[GateAblation] | None = None
    units: Sequence[FoundUnit] | None = None
    flip: Flip | None = None
    interactions: Sequence[Interaction] | None = None
    walk: Walk | None = None
    reliability: Reliability | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"it has format {self.format}, and this version reads {FORMAT}")
        optional = [one.name for one in fields(self) if one.default is None]
        for name in optional:
            if (getattr(self, name) is None) != (name in self.missing):
                raise ValueError(f"'{name}' has to be there, or else a reason in 'missing'")
        for name in self.missing:
            if name not in optional:
                raise ValueError(f"'missing' names '{name}', which is no part that may be missing")
        names = [one.name for one in self.inputs]
        if len(set(names)) < len(names):
            raise ValueError("two inputs have the same name")
        for attribution in self._attributions():
            if [one.input for one in attribution.added] != names:
                raise ValueError(f"an attribution is to {[one.input for one in attribution.added]}, not {names}")
            for one, own in zip(attribution.added, self.inputs, strict=True):
                if len(one.steps) != len(own.labels):
                    raise ValueError(f"'{own.name}' has {len(own.labels)} steps, and {len(one.steps)} attributions")

    def _attributions(self) -> Iterator[Attribution]:
        if self.attribution is not None:
            yield self.attribution
        for contrast in self.contrasts or ():
            yield contrast.attribution

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Undo `to_json`. ModelFileError, which names the key and the value, if it is no such document."""
        found: Self = read(cls, document)
        return found

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __repr__(self) -> str:
        """In a line, as the numbers of all parts would fill many screens."""
        verdict = "" if self.reliability is None else f", {self.reliability.verdict}"
        return f"<Report of {self.target.text}: {self.answer.text!r}{verdict}>"

    def _repr_html_(self) -> str:
        """Its page, as a notebook shows it."""
        return framed(self)

    def rows(self) -> dict[str, list[Any]]:
        """The attribution as a table by column, one row for each channel of each step: "input", "step", "label",
        "channel", "value", "added", "occluded". No rows without an attribution."""
        table: dict[str, list[Any]] = {
            name: [] for name in ("input", "step", "label", "channel", "value", "added", "occluded")
        }
        if self.attribution is None:
            return table
        for own, one in zip(self.inputs, self.attribution.added, strict=True):
            apart = None if one.channels is None else one.channels.array
            values = None if own.values is None else own.values.array
            for step, label in enumerate(own.labels):
                for channel, name in enumerate(own.channels if apart is not None else [""]):
                    value = None if values is None or apart is None else float(values[step, channel])
                    row = (
                        own.name,
                        step,
                        label,
                        name,
                        value,
                        one.steps[step] if apart is None else float(apart[step, channel]),
                        None if one.occluded is None else one.occluded[step],
                    )
                    for column, entry in zip(table.values(), row, strict=True):
                        column.append(entry)
        return table
