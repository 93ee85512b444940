"""`tag`: predict a label, or a number, for each step of a sequence.

It reads words and their parts, categories and measurements, with recurrent layers that run forward or in both
directions. Where labels mark spans, a conditional random field keeps every span intact.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.groups import groups_of, refuse_shared
from ...data.sequences import Sequences
from ...decoding.viterbi import Chain
from ...document import read
from ...errors import ModelFileError, OptionError
from ...launch import in_turn
from ...runtime.network import Block, checked
from ...runtime.streams import Streams
from ...training import ProgressFor
from ..announcement import counted, listed
from ..answers import Answer
from ..document import taken
from ..encoder import encoder_settings
from ..estimator import Estimator
from ..fields import renamed
from ..options import names, shares_of
from ..stress import Stressed
from ..transfer import Axes
from ..vectors import Pretrained
from .architecture import LEAST_SIZE, architecture
from .baselines import Baselines
from .document import Data, Document
from .evaluation import Evaluator, Held, choose_blend, strongest_of, tag_report
from .features import UNKNOWN, Encoded, Features
from .linear import Blend, Linear
from .options import TagOptions
from .predictor import Predictor
from .reading import read_sequences
from .sizing import sizing
from .split import FEW_SEQUENCES, split_sequences
from .stream import LiveTags, Stream
from .targets import Targets, check_all_labelled, target_column, target_names
from .transfer import axes_of, known_features, offered_by

if TYPE_CHECKING:
    from ...training import Plan
    from ..fitting import Prepared
    from .fitting import Choice
    from .network import TagNetwork


class Tagger(Estimator, TagOptions):
    """Predicts a label or a number for every step.

    Sizes, learning rate and epochs that are not given are chosen from the amount of data. Where labels mark spans, the
    validation part also calibrates how readily a step is labelled as outside of all spans.

    Beside the network stands a plain regression on the steps around each step, see `linear`. Validation data choose the
    share of the network in what is predicted; the rest is the regression's.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`; None with `only="plain"`.
        blend_: How network and regression predict together: `blend_.share` is the network's share.
        classes_: The labels; empty if the target is a number.
        scheme_: The tagging scheme of the labels, or None.
        metrics_: Metrics by part, and of the baselines.
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
    encoders_from: ClassVar[tuple[str, ...]] = ("generate",)
    _shaping: ClassVar[tuple[str, ...]] = (
        *("embedding_size", "char_hidden_size", "hidden_size", "num_layers", "bidirectional", "crf"),
    )
    _recomputed: ClassVar[tuple[str, ...]] = ("outside_bias",)

    plain_: Linear | None  # the regression beside the network
    blend_: Blend
    strongest_: str  # the plain method that was best on held-out data

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
        verbose: int = 0,
        watch: str | os.PathLike[str] | None = None,
        start_from: Any = None,
    ) -> Self:
        """Learn.

        Args:
            data: Anything that `data.sources.read` takes: a file, a table, arrays or lists.
            y: Labels of arrays or lists, a list per sequence; then no test part is held out.
            validation: Data that chooses the best weights; then all of `data` is learned from. A share of `data` if
                omitted.
            query: SQL whose result is the table.
            encoding: Encoding of text files.
            output: Model file to write. The checkpoint and the metrics are written beside it, under its name with
                `.checkpoint` and `.metrics.jsonl` added; the checkpoint is deleted when training has finished.
            resume: Continue from that checkpoint.
            progress: Makes what shows progress, such as `training.choose`; None is silent.
            verbose: 1 shows, on standard error, how the data were understood, what was chosen, and progress.
            watch: Page (.html) to show the training in, with what its layers do and advice where something is wrong;
                see docs/watch.md. No bit of the training depends on it.
            start_from: Model file or fitted estimator to go on from, with its weights, sizes and vocabulary; see
                docs/transfer.md.

        Raises:
            DataError: The data cannot be read, or nothing can be learned from it.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(
            lambda: self._prepare(data, y, validation, query, encoding),
            output,
            resume,
            progress,
            verbose,
            watch,
            start_from,
        )

    def _prepare(self, data: Any, y: Any, validation: Any, query: str | None, encoding: str) -> Callable[[], Prepared]:
        """Read, split, encode, and learn the plain methods."""
        columns = self.columns and names(self.columns)
        sequences = read_sequences(data, y, self, columns, query=query, encoding=encoding)
        self.schema_ = sequences.schema
        shares = shares_of(self.split, y is not None, validation is not None)
        parts = split_sequences(sequences, shares, int(self.seed), names(self.group), self._may_differ(sequences))
        if validation is not None:
            parts["validation"] = read_sequences(
                validation, None, self, columns, query=query, encoding=encoding, schema=self.schema_
            )
            refuse_shared(sequences, parts["validation"], names(self.group))
        train = parts["train"]
        targets = self._learn_targets(parts)
        choice = self._choose_plain(parts, targets, len(sequences))
        features = choice.features
        encoded = {name: features.encode(part) for name, part in parts.items()}
        truth = {name: targets.truth(target_column(part, self.target), part) for name, part in parts.items()}
        wanted = {name: targets.encode(values) for name, values in truth.items()}
        baselines = Baselines.learn(train, features, truth["train"])
        self.targets_, self.features_, self.baselines_ = targets, features, baselines
        self.plain_, self.blend_, self.strongest_ = choice.linear, Blend(), ""
        pretrained = Pretrained.read(self, self.embedding_size, features.word_counts)
        if pretrained is not None and pretrained.vectors.width < LEAST_SIZE:
            raise OptionError(
                f"the vectors of {pretrained.vectors.name} are {pretrained.vectors.width} wide, and those of a tagger "
                f"at least {LEAST_SIZE}. Leave vectors out"
            )
        return partial(self._sized, sequences, parts, shares, choice, encoded, wanted, pretrained)

    def _sized(
        self,
        sequences: Sequences,
        parts: dict[str, Sequences],
        shares: tuple[float, float, float],
        choice: Choice,
        encoded: dict[str, Encoded],
        wanted: dict[str, np.ndarray],
        pretrained: Pretrained | None,
    ) -> Prepared:
        """Size, and make batches."""
        from ..announcement import group_entry, parts_text
        from ..fitting import Prepared, plan_of
        from .batches import Pieces

        targets, features = self.targets_, self.features_
        steps = int(parts["train"].offsets[-1])
        chosen = sizing(self, steps, bool(features.words))
        if pretrained is not None:
            chosen = replace(chosen, embedding_size=pretrained.vectors.width)
        training = Pieces(
            encoded["train"],
            wanted["train"],
            batch_size=chosen.batch_size,
            chunk_length=chosen.chunk_length,
            seed=int(self.seed),
        )
        held_out = "validation" if "validation" in parts else "train"
        validated = Pieces(encoded[held_out], wanted[held_out], batch_size=2 * chosen.batch_size)
        updates = max(1, round(len(training) * chosen.epochs))
        plan = plan_of(self, updates, chosen.learning_rate, max(len(training), -(-updates // 20)))
        self.sizing_ = chosen

        def settle() -> None:
            if held_out == "validation" and self.model_ is not None:
                self.model_.calibrate(validated)

        def measure(finished: bool, tell: Callable[[str], None]) -> dict[str, Any]:
            if finished or held_out == "validation":
                build = partial(self._build, pretrained)
                self.blend_ = self._choose_blend(choice, encoded.get("validation"), plan, len(training), build, tell)
                self.strongest_ = self._strongest_plain(choice)
            evaluator = Evaluator(self._predictor(), self.baselines_, self.strongest_)
            return evaluator.evaluate(parts, encoded, with_baselines=finished)

        return Prepared(
            build=lambda: self._build(pretrained),
            training=training,
            validation=validated,
            plan=plan,
            data={
                "name": sequences.name,
                "fingerprint": sequences.fingerprint(),
                "steps": steps,
                "shares": list(shares),
                "equal_together": True,
            },
            identity={**vars(chosen), "validation": parts[held_out].fingerprint()},
            measure=measure,
            settle=settle,
            loss="negative log-likelihood, nats per label" if targets.classes else "squared error, standardised",
            validated=_validated(targets),
            understood={
                "data": f"{sequences.name}: {counted(len(sequences), 'sequences')}, "
                f"{counted(int(sequences.offsets[-1]), 'steps')}",
                "target": f"{', '.join(names(self.target)) or 'label'}: {_kind_of(targets)}",
                "inputs": "; ".join(
                    f"{kind} {listed(columns)}"
                    for kind, columns in {
                        "words": [words.column for words in features.words],
                        "numbers": features.means,
                        "categories": features.categories,
                    }.items()
                    if columns
                ),
                "parts": parts_text({name: len(part) for name, part in parts.items()}, "sequences", ""),
                **group_entry(sequences, [*names(self.target), *names(self.group)]),
            },
            unit="tokens" if features.words else "time steps",
            per_step=steps / len(training),
            pretrained=pretrained,
            again=len(choice.folds) - 1.0 if self._learns_again(choice, encoded.get("validation")) else 0.0,
        )

    def evaluate(
        self, data: Any, y: Any = None, *, query: str | None = None, encoding: str = "utf-8"
    ) -> dict[str, Any]:
        """Evaluate the labels.

        Args:
            data, y, query, encoding: As for `fit`. The training data is split as it was then.

        Returns:
            For each part ("train", "validation", "test", or "all" for other data) what `label_scores` or
            `number_scores` returns; of several targets that of all, standardised, and of each under "targets". And the
            "baselines" on the last of them, by name.

        Raises:
            DataError: The data cannot be read, or has no labels.
        """
        predictor = self._predictor()
        sequences = predictor.read(data, y, query=query, encoding=encoding, labelled=True)
        target_column(sequences, self.target)  # refuse data without labels before anything is computed
        parts = {"all": sequences}
        if self._is_training_data(sequences.fingerprint()):
            parts = self._parts_again(sequences)
        encoded = {name: self.features_.encode(part) for name, part in parts.items()}
        return Evaluator(predictor, self.baselines_, self.strongest_).evaluate(parts, encoded)

    def predict(self, data: Any) -> list[np.ndarray]:
        """The labels of each sequence, (T,), or its numbers; of several targets (T, K)."""
        return self._predictor().predict(data)

    def answers(self, texts: Sequence[str]) -> Iterator[Answer]:
        """Tag sentences as people write them: they are cut into tokens as the training data were.

        Yields:
            For each sentence its spans with their kinds, "[Ann: PER] lives in [York: LOC].", or where labels mark no
            spans each token with its label. See `Answer`.

        Raises:
            OptionError: The tagger reads more than words.
        """
        return self._predictor().answers(texts)

    def score(self, data: Any, y: Any = None) -> float:
        """F1 of spans where labels mark spans, else accuracy; R² of numbers. More is better, as scikit-learn wants."""
        predictor = self._predictor()
        sequences = predictor.read(data, y, labelled=True)
        parts, encoded = {"all": sequences}, {"all": self.features_.encode(sequences)}
        found = Evaluator(predictor, self.baselines_).evaluate(parts, encoded, with_baselines=False)["all"]
        return float(found["f1" if "f1" in found else "accuracy" if self.classes_ else "r2"])

    def predictions(
        self, data: Any, *, query: str | None = None, encoding: str = "utf-8", shard: str | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Labels as columns of a table, some thousand steps at a time: the key columns if there are any, "sequence" and
        "step" (both from 0), the time and the tokens by name where there are any, and "predicted", or "predicted_NAME"
        of each of several targets.

        Args:
            data, query, encoding: As for `fit`.
            shard: "2/8" for the second of eight parts, which no two share; see `tasks.sharding`.
        """
        return self._predictor().predictions(data, query=query, encoding=encoding, shard=shard)

    def stream(self) -> Stream:
        """Predict step by step: takes a row at a time and answers at once, for live control.

        Raises:
            OptionError: Its labels depend on later steps: it was trained with `bidirectional=True`, with a CRF, or to
                scale each sequence by itself.
        """
        self._must_be_fitted()
        return Stream(self._live())

    def streams(self) -> Streams:
        """Many sequences, tagged as their steps arrive; see `stream.LiveTags`. OptionError as for `stream`."""
        return super().streams()

    def _live(self) -> LiveTags:
        for option, looks_ahead in (("bidirectional", self.bidirectional), ("crf", self._uses_crf(self.targets_))):
            if looks_ahead:
                raise OptionError(
                    f"this tagger's labels depend on later steps ({option}=True), so it cannot answer at once. "
                    f"Train one with bidirectional=False{' and crf=False' * (option == 'crf')}"
                )
        if self.features_.per_sequence:
            raise OptionError(
                "this tagger scales each sequence by its mean and deviation, which are known at its end, so it cannot "
                "answer at once. Train one with normalise=False"
            )
        return LiveTags(self._predictor(), self._digest)

    def _stressed(self, data: Any, y: Any, query: str | None, encoding: str) -> Stressed:
        sequences = self._predictor().read(data, y, query=query, encoding=encoding, labelled=True)
        if self._is_training_data(sequences.fingerprint()):
            sequences = [*self._parts_again(sequences).values()][-1]
        columns = {"numbers": self.features_.means, "texts": [words.column for words in self.features_.words]}
        return Stressed(sequences, {kind: [*names] for kind, names in columns.items()}, self.evaluate)

    report = staticmethod(tag_report)

    @property
    def classes_(self) -> list[str]:
        return self.targets_.classes

    @property
    def scheme_(self) -> str | None:
        return self.targets_.scheme

    # Steps of fit.

    def _learn_targets(self, parts: Mapping[str, Sequences]) -> Targets:
        """Targets of the training and validation data."""
        data = [parts[name] for name in ("train", "validation") if name in parts]
        columns = [target_column(part, self.target) for part in data]
        targets = Targets.learn(columns, data, self.scheme, self.crf)
        if self._uses_crf(targets):
            for column, part in zip(columns, data, strict=True):
                check_all_labelled(column, part)
        return targets

    def _inputs(self, data: Sequences) -> list[str]:
        """The columns to learn from."""
        if self.columns is not None:
            return list(names(self.columns))
        others = {*target_names(data, self.target), *names(self.key), *names(self.time), *names(self.group)}
        return [name for name, column in data.steps.items() if name not in others and column.kind != "time"]

    def _may_differ(self, data: Sequences) -> set[str]:
        """Columns in which sequences that are equal otherwise may differ."""
        return {*target_names(data, self.target), *names(self.key), *names(self.time)}

    def _parts_again(self, data: Sequences) -> dict[str, Sequences]:
        """The parts of the training data, as they were."""
        trained = self.provenance_["data"]
        may_differ = self._may_differ(data) if trained.get("equal_together") else None
        return split_sequences(data, trained["shares"], int(self.seed), names(self.group), may_differ)

    def _settings_of(self, model: Any) -> dict[str, Any]:
        if model.task != self.task:
            return encoder_settings(model)
        scaled = {"normalise": model.features_.per_sequence} if model.features_.means else {}
        return {**super()._settings_of(model), **scaled}

    def _offered(self, model: Any, weights: Mapping[str, np.ndarray]) -> tuple[Mapping[str, np.ndarray], Axes]:
        if model.task == self.task:
            return super()._offered(model, weights)
        return offered_by(model, weights)

    def _axes(self) -> Axes:
        return axes_of(self._architecture(), self.features_, self.targets_)

    def _uses_crf(self, targets: Targets) -> bool:
        return bool(self.bidirectional and targets.scheme) if self.crf is None else bool(self.crf)

    def _choose_plain(self, parts: Mapping[str, Sequences], targets: Targets, sequences: int) -> Choice:
        """The regression, and the features of network and regression, by validation data or by cross-validation."""
        from .fitting import MOST_CHAINED, Chooser, Fold, folds_of

        train, ahead, columns = parts["train"], bool(self.bidirectional), self._inputs(parts["train"])
        group = groups_of(train, names(self.group), (1.0,))
        folds = folds_of(train, group, int(self.seed))
        if "validation" in parts:
            folds = [Fold(train, parts["validation"])]
        wanted = self._encoded_targets(targets, train)
        chained = ahead and 0 < len(targets.classes) <= MOST_CHAINED and bool((wanted >= 0).all())

        def chooser(folds: Sequence[Fold]) -> Chooser:
            encode = partial(self._encoded_targets, targets)
            return Chooser(train, folds, targets, encode, ahead, chained, int(self.seed))

        before = None if self._start is None else known_features(self._start.model)
        features = Features.learn(train, columns, ahead, bool(self.normalise), before)
        if self.normalise is None and ahead and features.means:
            # What matters is sequences of which no step was seen: validation data may be the end of the same ones.
            apart = "validation" in parts and (group is not None or sequences >= FEW_SEQUENCES)
            whole = folds if apart else folds_of(train, group, int(self.seed), whole=True)
            scaled = Features.learn(train, columns, ahead, True, before)
            if whole and chooser(whole).clearly_better(scaled, features):
                features = scaled
        return chooser(folds).choose(features)

    def _encoded_targets(self, targets: Targets, data: Sequences) -> np.ndarray:
        return targets.encode(targets.truth(target_column(data, self.target), data))

    def _choose_blend(
        self,
        choice: Choice,
        validation: Encoded | None,
        plan: Plan,
        batches: int,
        build: Callable[[], TagNetwork],
        tell: Callable[[str], None],
    ) -> Blend:
        """The share of the network, by validation data or, where there are too few steps for them, by networks that
        each learn without a part of the training data."""
        share = 0.0 if self._net is None else self.share
        alone = choose_blend(choice.held, self.targets_, bias=0.0, share=None)
        bias = float(getattr(self._net, "outside_bias", 0.0))
        if share == 0:
            return alone
        held = []
        if validation is not None:
            predictor = self._predictor()
            scores = predictor.network_scores(validation)
            held = [replace(choice.held[0], network=scores, network_chain=predictor.chain(1.0))]
        elif self._learns_again(choice, validation):
            found = replace(plan, learning_rate=self.outcome_.learning_rate)  # of a race, say
            if self.minutes is not None:
                steps = self.outcome_.planned
                found = replace(found, steps=steps, warmup=plan.warmup * steps // plan.steps)
            held = self._held_networks(choice, found, batches, build, tell)
        if held:
            return choose_blend(held, self.targets_, bias=bias, share=share)
        share = 1.0 if share is None else float(share)
        return Blend(share, share * bias + (1 - share) * alone.plain_bias, alone.plain_bias)

    def _learns_again(self, choice: Choice, validation: Encoded | None) -> bool:
        """Whether networks of folds choose the share, as no validation part can."""
        return validation is None and self.share is None and choice.few

    def _held_networks(
        self,
        choice: Choice,
        plan: Plan,
        batches: int,
        build: Callable[[], TagNetwork],
        tell: Callable[[str], None],
    ) -> list[Held]:
        """What networks of the folds say of the steps that they did not learn from; none if that was interrupted."""
        from .batches import Pieces
        from .fitting import Fold, fold_network

        def pieces(data: Sequences) -> Pieces:
            sizes, seed = self.sizing_, int(self.seed)
            wanted = self._encoded_targets(self.targets_, data)
            encoded = self.features_.encode(data)
            return Pieces(encoded, wanted, batch_size=sizes.batch_size, chunk_length=sizes.chunk_length, seed=seed)

        def said(fold: Fold) -> tuple[np.ndarray, Chain | None] | None:
            seed = int(self.seed)
            network = fold_network(pieces(fold.train), lambda: self.begun(build()), plan, seed, batches)
            if network is None:
                return None
            net = network.without_torch()
            predictor = Predictor(net=net, options=self, features=self.features_, targets=self.targets_, schema=None)
            return predictor.network_scores(self.features_.encode(fold.held)), predictor.chain(1.0)

        tell(f"too few steps for a validation part: {len(choice.folds)} networks, each without a part of the data")
        found = []
        for held, own in zip(choice.held, in_turn(said, choice.folds), strict=True):
            if own is None:
                return []
            found.append(replace(held, network=own[0], network_chain=own[1]))
        return found

    def _strongest_plain(self, choice: Choice) -> str:
        """The plain method that errs least on the steps that chose the regression."""
        others, targets = [], self.targets_
        for fold in choice.folds:
            plain = self.baselines_
            if len(choice.folds) > 1:
                truth = targets.truth(target_column(fold.train, self.target), fold.train)
                plain = Baselines.learn(fold.train, self.features_, truth)
            found = plain.predictions(fold.held, self.features_.encode(fold.held))
            others.append({name: targets.encode(values) for name, values in found.items()})
        assert self.plain_ is not None
        return strongest_of(choice.held, others, self.plain_.name(targets), self.blend_, targets)

    def _build(self, pretrained: Pretrained | None = None) -> TagNetwork:
        from .network import TagNetwork

        found = TagNetwork(self._architecture(), self.targets_)
        if pretrained is not None:
            found.begin_as(pretrained, self.features_)
        return found

    def _architecture(self) -> Block:
        return architecture(
            cell=self.find_cell(),
            features=self.features_,
            targets=self.targets_,
            sizes=self.sizing_,
            crf=self._uses_crf(self.targets_),
            bidirectional=bool(self.bidirectional),
            recurrent_dropout=float(self.recurrent_dropout),
            zoneout=float(self.zoneout),
            weight_dropout=float(self.weight_dropout),
        )

    # The trained model.

    def _predictor(self) -> Predictor:
        self._must_be_fitted()
        return Predictor(
            net=self._net,
            options=self,
            features=self.features_,
            targets=self.targets_,
            schema=self.schema_,
            plain=self.plain_,
            blend=self.blend_,
        )

    def _word_embedding(self) -> tuple[Sequence[str], str, int]:
        words = self.features_.words
        return (words[0].parts["word"], "words.0.parts.0.weight", UNKNOWN + 1) if words else super()._word_embedding()

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **self._cells(),
            "sizes": asdict(self.sizing_),
            "features": self.features_.to_json(),
            "targets": asdict(self.targets_),
            "baselines": self.baselines_.to_json(),
            "plain": None if self.plain_ is None else asdict(self.plain_.windows),
            "blend": asdict(self.blend_),
            "strongest": self.strongest_,
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        plain = {} if self.plain_ is None else self.plain_.tensors()
        return {**super()._tensors(), **{f"plain.{name}": array for name, array in plain.items()}}

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        plain = renamed(read(Mapping[str, Any], document.get("baselines"), "baselines"), {"constant"})
        found = self._read_document({**document, "baselines": plain}, Document, Data)
        self.sizing_, self.features_ = found.sizes, found.features
        self.targets_, self.baselines_ = found.targets, found.baselines
        self.blend_, self.strongest_ = found.blend or Blend(), found.strongest
        shapes = {} if found.plain is None else Linear.shapes(found.plain, self.features_, self.targets_)
        weights = taken(tensors, "plain.", shapes)
        self.plain_ = None if found.plain is None else Linear.from_tensors(found.plain, weights)
        if self.only == "plain":
            self.model_ = None
            return
        labels = len(self.targets_.classes)
        # Before a network is built, even on paper: which label may follow which is a table of labels x labels.
        if self._uses_crf(self.targets_) and tensors["crf.transitions"].shape != (labels, labels):
            raise ModelFileError(f"crf.transitions does not fit {labels} classes")
        self._read_weights = checked(self._architecture(), tensors)


def _validated(targets: Targets) -> str | None:
    """What chooses the weights, where that is not the loss."""
    if not targets.classes:
        return None
    return "1 - F1 of spans" if targets.scheme else "share of wrong labels"


def _kind_of(targets: Targets) -> str:
    if not targets.classes:
        return f"{len(targets.columns)} numbers together" if targets.columns else "a number"
    spans = f", spans in the scheme {targets.scheme}" if targets.scheme else ""
    return f"{len(targets.classes):,} labels ({listed(targets.classes)}){spans}"
