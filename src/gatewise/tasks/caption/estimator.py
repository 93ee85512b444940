"""`caption`: learn to describe images or short clips in words.

Convolutions make features of every place, a recurrent layer joins the frames of a clip, and a decoder with attention
writes a caption word by word, attending to some of the places for each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ...data.paired.captions import Captioned
from ...data.text.vocabulary import Words
from ...decoding.options import Decoding
from ...errors import DataError
from ...metrics.text import sacrebleu
from ...runtime.network import Block, checked
from ...training import ProgressFor
from ..attention_decoder import DecoderOptions
from ..document import renamed_tensors, taken
from ..estimator import Estimator
from ..options import given_or, names
from ..report import text_report
from ..stress import Stressed
from ..transfer import Axes, row_names
from .architecture import architecture, image_encoder
from .baselines import Plain, most_frequent
from .document import Data, Document
from .evaluation import evaluate, evaluate_captions, with_captions
from .examples import CaptionedBatches
from .inputs import Inputs
from .options import CaptionOptions
from .predictor import Predictor
from .reading import SIDE, read
from .sizing import sizing
from .split import part_sizes, split_images
from .targets import CaptionTokens

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .batches import ImageBatches
    from .network import CaptionNetwork

# Prefix of tensors in older model files -> the one that they have now.
_RENAMED_TENSORS = {"eye.told.": "encoder.time_output.", "eye.": "encoder."}


class Captioner(Estimator, CaptionOptions):
    """Learns to describe images or short clips in words.

    Sizes, learning rate and epochs that are not given are chosen from the number of images.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`; None with `only="plain"`.
        plain_: The plain methods; None of models of before.
        vocabulary_: Of the captions.
        metrics_: Scores by part, and of the baselines.
        outcome_: How training ended.

    Example:
        >>> captioner = Captioner(seed=1).fit(images, captions)  # (N, height, width, 3); one or several captions each
        >>> captioner.predict(images[:1])
        ['a small red circle to the left of a blue square']

    Source: Vinyals et al. (2015), arXiv:1411.4555; Xu et al. (2015), arXiv:1502.03044.
    """

    task: ClassVar[str] = "caption"
    kind: ClassVar[str] = ""
    data_help: ClassVar[str] = "Folder of images, or arrays (.npz)."
    _shaping: ClassVar[tuple[str, ...]] = ("channels", "embedding_size", "hidden_size", "num_layers", "image_size")
    _averaged: ClassVar[tuple[str, ...]] = ("embedding.weight", "output.weight", "output.bias")

    plain_: Plain | None = None

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        captions: str | None = None,
        lists: str | None = None,
        validation: Any = None,
        encoding: str = "utf-8",
        output: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: ProgressFor | None = None,
        verbose: int = 0,
        watch: str | os.PathLike[str] | None = None,
        start_from: Any = None,
    ) -> Self:
        """Train on images with captions.

        Args:
            data: A folder of images, and of folders of frames, which are clips; an `.npz` file with `x` and `captions`;
                arrays, see `data.paired.captions.from_arrays`; or a `Captioned`.
            y: Captions beside arrays: for each a string, or several in a list. `validation` is then such a pair too.
            captions: File of captions for a folder: lines `image.jpg#0<tab>caption`, or a table with the columns image
                and caption.
            lists: Comma-separated files with the names of training, validation and test images, one per line; the last
                may be left out.
            validation: Data that decides which weights are best; then the model trains on all of `data`. By default a
                share of `data`.
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
            DataError: The data cannot be read, or has no captions.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            MissingExtra: A package that reads images, or scores captions, is not installed.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(
            lambda: self._prepare(data, y, validation, captions, lists, encoding),
            output,
            resume,
            progress,
            verbose,
            watch,
            start_from,
        )

    def _prepare(
        self, data: Any, y: Any, validation: Any, captions: str | None, lists: str | None, encoding: str
    ) -> Callable[[], Prepared]:
        """Read, split and encode."""
        sacrebleu()  # before the work is done
        whole, listed = self._read(data, y, captions, lists, encoding)
        counts = part_sizes(whole, listed, self.split, validation is not None)
        parts = split_images(whole, counts, bool(listed), int(self.seed), names(self.group))
        if validation is not None:
            x, references = validation if isinstance(validation, tuple) and len(validation) == 2 else (validation, None)
            parts["validation"], _ = self._read(x, references, captions, None, encoding)
        train, held_out = parts["train"], parts.get("validation", parts["train"])
        for part in (train, held_out):
            if not any(part.captions):
                raise DataError(f"{part.name} has no captions to learn from. Give them: y, or a file of captions")
        inputs = Inputs.learn(train)
        inputs.check(held_out)
        tokens = CaptionTokens.learn(
            train.captions, max_size=self.vocabulary_size, min_frequency=int(self.min_frequency)
        )
        if self._start is not None:
            tokens = replace(tokens, vocabulary=self._start.model.tokens_.vocabulary.extended(tokens.vocabulary))
        self.inputs_, self.tokens_, self.most_frequent_ = inputs, tokens, most_frequent(train.captions)
        self.plain_ = Plain.learn(train, parts.get("validation"))
        return partial(self._sized, whole, parts, counts, bool(listed))

    def _sized(self, whole: Captioned, parts: dict[str, Captioned], counts: list[int], listed: bool) -> Prepared:
        """Size, and make batches."""
        from ..announcement import counted, parts_text
        from ..fitting import Prepared, plan_of

        train, held_out = parts["train"], parts.get("validation", parts["train"])
        inputs, plain = self.inputs_, self.plain_
        self.sizing_ = chosen = sizing(self, len(train), inputs.kind == "clips")
        assert plain is not None
        beaten = plain.validated is not None
        to_beat = {"to beat": f"{plain.strongest}: validation BLEU {plain.validated:.2f}, in seconds"} if beaten else {}
        training = self._batches(train, int(self.seed))
        steps = max(1, round(len(training) * chosen.epochs))
        return Prepared(
            build=self._build,
            training=training,
            validation=self._batches(held_out, None),
            plan=plan_of(self, steps, chosen.learning_rate),
            data={
                "name": whole.name,
                "fingerprint": whole.fingerprint(),
                "images": len(train),
                "counts": counts,
                "listed": listed,
            },
            identity={**vars(chosen), "validation": held_out.fingerprint()},
            measure=lambda finished, tell: self._evaluate(parts, with_baselines=finished),
            held_out="validation" in parts,
            unit="images",
            loss="cross-entropy, nats per token",
            understood={
                "data": f"{whole.name}: {counted(len(whole), 'images')}",
                "inputs": f"{inputs.kind}, with {sum(map(len, train.captions)):,} captions to learn from",
                "parts": parts_text({name: len(part) for name, part in parts.items()}, "images", ""),
                **to_beat,
            },
            per_step=len(train) / len(training),
        )

    def evaluate(
        self,
        data: Any,
        y: Any = None,
        *,
        captions: str | None = None,
        lists: str | None = None,
        encoding: str = "utf-8",
        decoding: Decoding | None = None,
    ) -> dict[str, Any]:
        """Score captions of the data.

        Args:
            data, y, captions, lists, encoding: As for `fit`. The data that the model was trained on, with the same
                lists if there were any, is split as it was then.
            decoding: How to search; a beam of five if omitted.

        Returns:
            Per part ("train", of which at most 500 images are captioned, "validation" and "test"; or "all" for other
            data) "bleu" and "chrf" against all captions of each image, "exact_match", the share that equals one of
            them, "loss" in nats per word, and "images"; "baselines" on the last of them, by name: the most frequent
            caption, and for the training data that of the nearest training image; and the "signatures" of BLEU and
            chrF.

        Raises:
            DataError: The data cannot be read, or has no captions.
        """
        predictor = self._predictor()
        sacrebleu()
        whole, _ = predictor.read(data, y, captions=captions, lists=lists, encoding=encoding)
        parts = {"all": whole}
        if self._is_training_data(whole.fingerprint()):
            trained = self.provenance_["data"]
            parts = split_images(whole, trained["counts"], trained["listed"], int(self.seed), names(self.group))
        with_captions(whole)  # DataError if there are none
        return self._evaluate(parts, with_baselines=True, decoding=decoding)

    def predict(self, data: Any, decoding: Decoding | None = None) -> list[str]:
        """Caption images or clips.

        Args:
            data: As for `fit`, or an image file; captions, if there are any, are ignored.
            decoding: How to search; a beam of five if omitted. A caption has at least one word and, unless `max_length`
                says otherwise, at most twice as many as the longest of training, and five.
        """
        return self._predictor().predict(data, decoding)

    def score(self, data: Any, y: Any = None) -> float:
        """BLEU, from 0 to 100: more is better, for scikit-learn."""
        predictor = self._predictor()
        whole, _ = predictor.read(data, y)
        return float(evaluate_captions(predictor, with_captions(whole))["bleu"])

    def predictions(
        self, data: Any, *, decoding: Decoding | None = None, shard: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Captions as columns of a table, some hundred images at a time: "image", its name or number, "caption" and
        "score", its log-probability, normalised as `Decoding` says; with `n_best` a row for each.

        Args:
            data, decoding: As for `predict`.
            shard: "2/8" for the second of eight parts, which no two share; see `tasks.sharding`.
        """
        return self._predictor().predictions(data, decoding, shard)

    def plot(self, data: Any, picture: str | os.PathLike[str]) -> None:
        """Plot the first image, or the frames of the first clip, once for each word of its caption, highlighted where
        the attention of the decoder is large.

        Raises:
            MissingExtra: matplotlib is not installed.
            OptionError: The picture is to be neither PNG nor SVG.
        """
        from .plot import draw

        draw(*self._predictor().attention(data), self._net.encoder.map, picture)

    def stress(
        self,
        data: Any,
        y: Any = None,
        *,
        changes: Sequence[str] = (),
        query: str | None = None,
        encoding: str = "utf-8",
        captions: str | None = None,
        lists: str | None = None,
    ) -> dict[str, Any]:
        """A robustness card, see `Estimator.stress`; `captions` and `lists` as for `fit`."""
        whole, _ = self._predictor().read(data, y, captions=captions, lists=lists, encoding=encoding)
        return super().stress(whole, changes=changes, query=query)

    def _stressed(self, data: Any, y: Any, query: str | None, encoding: str) -> Stressed:
        if self._is_training_data(data.fingerprint()):
            trained = self.provenance_["data"]
            parts = split_images(data, trained["counts"], trained["listed"], int(self.seed), names(self.group))
            data = [*parts.values()][-1]
        changing = {"images": () if data.inputs == "features" else ("pixels",)}
        return Stressed(data, changing, self.evaluate)

    report = staticmethod(text_report)

    @property
    def vocabulary_(self) -> Words:
        return self.tokens_.vocabulary

    # Steps of fit.

    def _read(
        self, data: Any, y: Any, captions: str | None, lists: str | None, encoding: str
    ) -> tuple[Captioned, list[int]]:
        side = int(given_or(self.image_size, SIDE))
        return read(
            data,
            y,
            captions=captions,
            lists=lists,
            inputs=self.inputs,
            size=(side, side),
            encoding=encoding,
            csv=self.csv_format(),
        )

    def _batches(self, data: Captioned, seed: int | None) -> ImageBatches:
        from .batches import ImageBatches

        tokens = self.tokens_
        batches = CaptionedBatches(
            data,
            tokens.encode(data.captions),
            start=tokens.start,
            end=tokens.end,
            batch_size=self.sizing_.batch_size,
            seed=seed,
        )
        return ImageBatches(batches)

    def _build(self) -> CaptionNetwork:
        from .network import CaptionNetwork

        return CaptionNetwork(self._architecture())

    def _axes(self) -> Axes:
        words = [*self.tokens_.vocabulary.symbols, ("start",), ("end",)]
        return row_names(words, "embedding.weight", "output.weight", "output.bias")

    def _architecture(self) -> Block:
        chosen, cell, inputs = self.sizing_, self.find_cell(), self.inputs_
        encoder = image_encoder(
            inputs.kind,
            inputs.shape,
            mean=inputs.mean,
            std=inputs.std,
            features=chosen.channels,
            cell=cell,
            hidden_size=chosen.hidden_size,
        )
        options = DecoderOptions(
            vocabulary_size=len(self.tokens_),
            embedding_size=chosen.embedding_size,
            hidden_size=chosen.hidden_size,
            num_layers=chosen.num_layers,
            attention_size=chosen.channels,
            dropout=chosen.dropout,
        )
        return architecture(cell, encoder, chosen.channels, options)

    # The fitted model.

    def _predictor(self) -> Predictor:
        self._must_be_fitted()
        return Predictor(net=self._net, inputs=self.inputs_, tokens=self.tokens_, plain=self.plain_)

    def _evaluate(
        self, parts: Mapping[str, Captioned], with_baselines: bool, decoding: Decoding | None = None
    ) -> dict[str, Any]:
        return evaluate(
            self._predictor(),
            parts,
            decoding,
            batch_size=self.sizing_.batch_size,
            most_frequent=self.most_frequent_,
            plain=self.plain_,
            with_baselines=with_baselines,
        )

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **self._cells(),
            "sizes": asdict(self.sizing_),
            "inputs": self.inputs_.to_json(),
            "vocabulary": self.tokens_.vocabulary.to_json(),
            "longest": self.tokens_.longest,
            "most_frequent": self.most_frequent_,
            "plain": None if self.plain_ is None else {"strongest": self.plain_.strongest},
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        found = self._read_document(document, Document, Data)
        self.sizing_, self.inputs_, self.most_frequent_ = found.sizes, found.inputs, found.most_frequent
        self.tokens_ = CaptionTokens(Words.from_json(found.vocabulary), found.longest)
        if found.plain is not None:
            shapes = {"pictures": (None, None), "texts": (None,), "lengths": (None,)}
            memory = taken(tensors, "plain.", shapes)
            self.plain_ = Plain.restore(memory, found.most_frequent, found.plain.strongest)
        if self.only == "plain":
            self.model_ = None
        else:
            self._read_weights = checked(self._architecture(), renamed_tensors(tensors, _RENAMED_TENSORS))

    def _tensors(self) -> dict[str, Any]:
        plain = {} if self.plain_ is None else self.plain_.tensors()
        return {**super()._tensors(), **{f"plain.{name}": array for name, array in plain.items()}}
