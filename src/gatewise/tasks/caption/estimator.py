"""`caption`: learn to say what is on an image, or what happens in a short clip.

Convolutions make features of every place, a recurrent layer joins the frames of a clip, and a decoder with attention
writes a caption word by word, looking at some places for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ...data.paired.captions import INPUTS, NUMBERS, Captioned
from ...data.split import PARTS, split
from ...data.text.vocabulary import Words
from ...decoding.beam_search import Hypothesis
from ...decoding.options import Decoding
from ...errors import DataError, OptionError
from ...metrics.text import sacrebleu, signatures, text_scores
from ...training import ProgressFor
from ..estimator import Estimator, cells_of, filled
from ..fields import one_of
from ..options import given_or
from ..report import text_report
from .baselines import most_frequent, nearest
from .options import CaptionOptions
from .reading import SIDE, pieces, read
from .sizing import Sizing, sizing

if TYPE_CHECKING:
    from ..fitting import Prepared
    from .network import CaptionNetwork

_NAMED = {"inputs": ("kind of inputs", INPUTS)}
_NUMBERS = {"numbers": ("kind of numbers", NUMBERS)}
_MOST_MEASURED = 500  # images of the training part that are captioned to be measured


class Captioner(Estimator, CaptionOptions):
    """Learns to say what is on an image, or what happens in a short clip.

    Sizes, rate and passes that are not given follow from the number of images.

    Attributes (after fit):
        model_: The network, a `torch.nn.Module`.
        vocabulary_: Of the captions.
        metrics_: Figures by part, and of the baselines.
        outcome_: How training ended.

    Example:
        >>> captioner = Captioner(seed=1).fit(images, captions)  # (N, height, width, 3); of each one or several
        >>> captioner.predict(images[:1])
        ['a small red circle to the left of a blue square']

    Source: Vinyals et al. (2015), arXiv:1411.4555; Xu et al. (2015), arXiv:1502.03044.
    """

    task: ClassVar[str] = "caption"
    kind: ClassVar[str] = ""

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
    ) -> Self:
        """Learn.

        Args:
            data: A folder of images, and of folders of frames, which are clips; an `.npz` file with `x` and `captions`;
                arrays, see `data.paired.captions.from_arrays`; or a `Captioned`.
            y: Captions beside arrays: of each a string, or several in a list. `validation` is then such a pair too.
            captions: File of captions for a folder: lines image.jpg#0<tab>caption, or a table with the columns image
                and caption.
            lists: Comma-separated files with the names of training, validation and test images, one a line; the last
                may be left out.
            validation: Data that decides which weights are best, and then all of `data` is learned from; else a share
                of `data`.
            encoding: Of text files.
            output: Model file to write; see `Generator.fit`.
            resume: Go on from the checkpoint beside it.
            progress: Makes what shows progress, such as `training.choose`; None is silent.

        Raises:
            DataError: The data cannot be read, or has no captions.
            OptionError: An option is impossible.
            ModelFileError: The checkpoint does not fit.
            MissingExtra: A package that reads images, or measures captions, is not installed.
            TrainingStopped: The loss became NaN, or the disk is full; the model so far was saved.
        """
        return self._fit(
            lambda: self._prepare(data, y, validation, captions, lists, encoding), output, resume, progress
        )

    def _prepare(
        self, data: Any, y: Any, validation: Any, captions: str | None, lists: str | None, encoding: str
    ) -> Prepared:
        """Read, split, encode and size."""
        from ..fitting import Prepared, plan_of
        from .batches import Pictures

        sacrebleu()
        vars(self).pop("model_", None)  # or images would be brought to an earlier fit's size
        whole, listed = self._read(data, y, captions, lists, encoding)
        counts = self._counts(whole, listed, validation is not None)
        parts = self._parts(whole, counts, bool(listed))
        if validation is not None:
            x, said = validation if isinstance(validation, tuple) and len(validation) == 2 else (validation, None)
            parts["validation"], _ = self._read(x, said, captions, None, encoding)
        train, held_out = parts["train"], parts.get("validation", parts["train"])
        for part in (train, held_out):
            if not any(part.captions):
                raise DataError(f"{part.name} has no captions to learn from. Give them: y, or a file of captions")
        self.inputs_, self.shape_, self.numbers_ = whole.inputs, whole.shape, whole.numbers
        self._must_match(held_out)
        self.mean_, self.std_ = _scale(train)
        text = " ".join(caption for some in train.captions for caption in some)
        self.vocabulary_ = Words.fit(text, self.vocabulary_size, int(self.min_frequency))
        tokens = {name: self._tokens(part) for name, part in (("train", train), ("held out", held_out))}
        self.longest_ = max(len(caption) for some in tokens["train"] for caption in some)
        self.usual_ = most_frequent(train.captions)
        self.sizing_ = chosen = sizing(self, len(train), self.inputs_ == "clips")
        edges = self._edges
        training = Pictures(train, tokens["train"], *edges, chosen.batch_size, seed=int(self.seed))
        steps = max(1, round(len(training) * chosen.epochs))
        return Prepared(
            build=self._build,
            training=training,
            validation=Pictures(held_out, tokens["held out"], *edges, chosen.batch_size),
            plan=plan_of(self, steps, chosen.learning_rate),
            data={
                "name": whole.name,
                "fingerprint": whole.fingerprint(),
                "images": len(train),
                "counts": counts,
                "listed": bool(listed),
            },
            identity={**vars(chosen), "validation": held_out.fingerprint()},
            measure=lambda finished: self._measured(parts, with_baselines=finished),
            unit="images",
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
        """How good the captions are.

        Args:
            data, y, captions, lists, encoding: As for `fit`. The data that the model was trained on, with the same
                lists if there were any, is cut as it was then.
            decoding: How to search; a beam of five if omitted.

        Returns:
            Per part ("train", of which at most 500 images are captioned, "validation" and "test"; or "all" for other
            data) "bleu" and "chrf" beside all captions of each image, "exact_match", the share that is one of them,
            "loss" in nats per word, and "images"; "baselines" on the last of them, by name: the most frequent caption,
            and for the data that was trained on that of the nearest training image; and the "signatures" of BLEU and
            chrF.

        Raises:
            DataError: The data cannot be read, or has no captions.
        """
        self._must_be_fitted()
        sacrebleu()
        whole, _ = self._read(data, y, captions, lists, encoding)
        trained = self.provenance_["data"]
        same = whole.fingerprint() == trained["fingerprint"]
        parts = self._parts(whole, trained["counts"], trained["listed"]) if same else {"all": whole}
        _told(whole)
        return self._measured(parts, with_baselines=True, decoding=decoding)

    def predict(self, data: Any, decoding: Decoding | None = None) -> list[str]:
        """A caption of each image or clip.

        Args:
            data: As for `fit`, or an image file; captions, if it has any, are not looked at.
            decoding: How to search; a beam of five, if omitted. A caption has a word at least and, where `max_length`
                does not say otherwise, at most twice as many as the longest of training, and five.
        """
        self._must_be_fitted()
        return [self._text(found[0]) for part in self._pieces(data) for found in self._written(part, decoding)]

    def score(self, data: Any, y: Any = None) -> float:
        """BLEU, from 0 to 100: more is better, for scikit-learn."""
        self._must_be_fitted()
        whole, _ = self._read(data, y, None, None, "utf-8")
        return float(self._scores(_told(whole), with_loss=False)["bleu"])

    def predictions(self, data: Any, *, decoding: Decoding | None = None) -> Iterator[dict[str, Any]]:
        """Captions as columns of a table, some hundred images at a time: "image", its name or number, "caption" and
        "score", the logarithm of its probability, divided as `Decoding` says; with `n_best` a row for each."""
        self._must_be_fitted()
        for part in self._pieces(data):
            found = self._written(part, decoding)
            yield {
                "image": [name for name, some in zip(part.names, found, strict=True) for _ in some],
                "caption": [self._text(one) for some in found for one in some],
                "score": np.array([one.score for some in found for one in some]),
            }

    def plot(self, data: Any, picture: str | os.PathLike[str]) -> None:
        """Draw the first image, or the frames of the first clip, once for each word of its caption, aglow where the
        decoder looked.

        Raises:
            MissingExtra: matplotlib is not installed.
            OptionError: The picture is to be neither PNG nor SVG.
        """
        from .plot import draw

        self._must_be_fitted()
        first = next(self._pieces(data)).take([0])
        [[found, *_]] = self._written(first, None)
        words = [self.vocabulary_.decode(found.tokens[place : place + 1]) for place in range(len(found.tokens))]
        assert found.attention is not None
        draw(first, words, found.attention, self.model_.eye.map, picture)

    report = staticmethod(text_report)

    # Steps of fit.

    @property
    def _edges(self) -> tuple[int, int]:
        """Tokens that stand before and behind each caption, behind all words."""
        return len(self.vocabulary_), len(self.vocabulary_) + 1

    def _read(
        self, data: Any, y: Any, captions: str | None, lists: str | None, encoding: str
    ) -> tuple[Captioned, list[int]]:
        fitted = self.__sklearn_is_fitted__()
        inputs = self.inputs_ if fitted else self.inputs
        found = read(data, y, captions=captions, lists=lists, inputs=inputs, size=self._size(), encoding=encoding)
        if fitted:
            self._must_match(found[0])
        return found

    def _size(self) -> tuple[int, int]:
        """That images from files are brought to."""
        if self.__sklearn_is_fitted__() and self.inputs_ != "features":
            return self.shape_[0], self.shape_[1]
        side = int(given_or(self.image_size, SIDE))
        return side, side

    def _pieces(self, data: Any) -> Iterator[Captioned]:
        for part in pieces(data, self.inputs_, self._size()):
            self._must_match(part)
            yield part

    def _must_match(self, data: Captioned) -> None:
        """DataError if the captioner learned from other inputs, or from numbers of another range."""
        has, wants = (data.inputs, data.shape, data.numbers), (self.inputs_, self.shape_, self.numbers_)
        if has != wants:
            told, known = (f"{kind} of {' x '.join(map(str, size))} ({dtype})" for kind, size, dtype in (has, wants))
            raise DataError(f"{data.name} holds {told}, but this captioner was trained on {known}. Bring it to that")

    def _counts(self, whole: Captioned, listed: list[int], validated: bool) -> list[int]:
        """Images of training, validation and test."""
        if len(listed) > 3:
            raise OptionError(f"lists names {len(listed)} files, but there are three parts: training, validation, test")
        if listed:
            return [*listed, 0, 0][:3]
        if validated:
            return [len(whole), 0, 0]
        return [part.stop - part.start for part in split(len(whole), self.split)]

    def _parts(self, whole: Captioned, counts: list[int], listed: bool) -> dict[str, Captioned]:
        """One behind the other where lists said so, else drawn at random."""
        order = np.random.default_rng(int(self.seed)).permutation(len(whole))
        if listed or counts[0] == len(whole):
            order = np.arange(len(whole))
        pieces = np.split(order[: sum(counts)], np.cumsum(counts)[:-1])
        parts = {name: whole.take(piece) for name, piece in zip(PARTS, pieces, strict=True) if len(piece)}
        if "train" not in parts:
            raise DataError(f"{whole.name}: no image is left to learn from. Give more, or a larger share in split")
        return parts

    def _tokens(self, data: Captioned) -> list[list[np.ndarray]]:
        """Of each image, of each of its captions, the words."""
        return [[self.vocabulary_.encode(caption) for caption in some] for some in data.captions]

    def _build(self) -> CaptionNetwork:
        import torch

        from .network import CaptionNetwork, Eye

        chosen, cell = self.sizing_, self.find_cell()
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (self.mean_, self.std_))
        return CaptionNetwork(
            cell,
            Eye(self.inputs_, self.shape_, mean, std, chosen.channels, cell, chosen.hidden_size),
            chosen.channels,
            vocabulary_size=len(self.vocabulary_) + 2,
            embedding_size=chosen.embedding_size,
            hidden_size=chosen.hidden_size,
            num_layers=chosen.num_layers,
            dropout=chosen.dropout,
        )

    # Writing and measuring.

    def _written(self, data: Captioned, decoding: Decoding | None) -> list[list[Hypothesis]]:
        from .batches import written

        forbidden = (self.vocabulary_.PAD, self.vocabulary_.UNK)
        options = decoding or Decoding()
        options = replace(options, min_length=max(1, options.min_length))
        # A caption may be longer than any in training, but there has to be an end to it.
        longest = options.max_length or max(options.min_length, 2 * self.longest_ + 5)
        return written(self.model_, data, *self._edges, options, longest, forbidden)

    def _text(self, found: Hypothesis) -> str:
        return self.vocabulary_.decode(found.tokens)

    def _measured(
        self, parts: Mapping[str, Captioned], with_baselines: bool, decoding: Decoding | None = None
    ) -> dict[str, Any]:
        parts = {name: _told(part) for name, part in parts.items() if any(part.captions)}
        found: dict[str, Any] = {}
        for name, part in parts.items():
            some = part.take(np.arange(min(len(part), _MOST_MEASURED))) if name == "train" else part
            found[name] = self._scores(some, decoding=decoding)
        if with_baselines:
            last = list(parts)[-1]
            said = {"most frequent": [self.usual_] * len(parts[last])}
            if last not in ("train", "all"):
                said["nearest image"] = nearest(parts[last], parts["train"])
            wanted = parts[last].captions
            found["baselines"] = {name: text_scores(texts, wanted) for name, texts in said.items()}
        every = [captions for part in parts.values() for captions in part.captions]
        return {**found, "signatures": signatures(every)}

    def _scores(self, data: Captioned, with_loss: bool = True, decoding: Decoding | None = None) -> dict[str, Any]:
        said = [self._text(some[0]) for some in self._written(data, decoding)]
        found = {**text_scores(said, data.captions), "images": len(data)}
        return found | ({"loss": self._loss(data)} if with_loss else {})

    def _loss(self, data: Captioned) -> float:
        """Nats per word."""
        import torch

        from .batches import Pictures

        batches = Pictures(data, self._tokens(data), *self._edges, self.sizing_.batch_size)
        with torch.no_grad():
            sums = [self.model_.validation_sums(batches.at(step)) for step in range(len(batches))]
        return float(sum(float(loss) for loss, _ in sums) / sum(count for _, count in sums))

    # The model file.

    def _document(self) -> dict[str, Any]:
        return {
            **cells_of(self.model_.layers),
            "sizes": asdict(self.sizing_),
            "inputs": {
                "kind": self.inputs_,
                "shape": list(self.shape_),
                "numbers": self.numbers_,
                "mean": self.mean_.tolist(),
                "std": self.std_.tolist(),
            },
            "vocabulary": self.vocabulary_.to_json(),
            "longest": self.longest_,
            "most_frequent": self.usual_,
        }

    def _restore(self, document: Mapping[str, Any], tensors: dict[str, Any]) -> None:
        self.check()
        self.sizing_ = self._sizes(document, Sizing)
        given = document["inputs"]
        self.check_values({"inputs": given["kind"]})
        one_of("kind of numbers", NUMBERS)("numbers", given["numbers"])
        self.inputs_, self.shape_, self.numbers_ = given["kind"], tuple(map(int, given["shape"])), given["numbers"]
        self.mean_, self.std_ = (np.array(given[name], np.float32) for name in ("mean", "std"))
        if self.mean_.shape != self.shape_[-1:] or self.std_.shape != self.shape_[-1:] or not (self.std_ > 0).all():
            raise ValueError("its means and deviations are not those of its channels")
        self.vocabulary_ = Words.from_json(document["vocabulary"])
        self.longest_, self.usual_ = int(document["longest"]), str(document["most_frequent"])
        tensors["output.weight"] = tensors["embedding.weight"]
        self.model_ = filled(self._build, tensors)

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = super()._tensors()
        del tensors["output.weight"]  # the words' embedding
        return tensors


def _told(data: Captioned) -> Captioned:
    """Those that have captions. DataError if none has."""
    some = np.flatnonzero([bool(captions) for captions in data.captions])
    if not len(some):
        raise DataError(f"{data.name} has no captions to measure by. Give them: y, or a file of captions")
    return data if len(some) == len(data) else data.take(some)


def _scale(data: Captioned) -> tuple[np.ndarray, np.ndarray]:
    """(C,) float32, mean and standard deviation of each channel, or feature."""
    axes = tuple(range(data.values.ndim - 1))
    total, squares, count = 0.0, 0.0, data.values[..., 0].size
    for start in range(0, len(data.values), 1024):  # float64 of all at once would need eight times the memory of uint8
        some = data.values[start : start + 1024].astype(np.float64)
        total, squares = total + some.sum(axes), squares + np.square(some).sum(axes)
    mean = np.asarray(total / count)
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean.astype(np.float32), np.where(deviation > 0, deviation, 1).astype(np.float32)
