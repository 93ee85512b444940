"""From images to captions, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ...data.paired.captions import Captioned
from ...decoding.beam_search import Hypothesis, decode
from ...decoding.options import MOST_TOKENS, Decoding
from ...errors import OptionError
from ...sharing import each
from ..attention_decoder import DecoderStep
from ..sharding import predicted
from .architecture import encode
from .baselines import Plain
from .examples import frames
from .inputs import Inputs
from .reading import SIDE, read, read_chunks
from .targets import CaptionTokens

_BATCH = 64  # images that are captioned side by side, if they are small
_NUMBERS = 1 << 22  # in the images of a batch: memory follows from their size, which a stranger's file may say


class Predictor:
    """A trained captioner without its training: from anything that a reader takes to captions.

    Args:
        net: Its network, see `architecture`. None without one: then a plain method captions.
        inputs: What it was trained on.
        tokens: What it writes.
        plain: The plain methods.
    """

    def __init__(self, *, net: Any, inputs: Inputs, tokens: CaptionTokens, plain: Plain | None = None):
        self.net, self.inputs, self.tokens, self.plain = net, inputs, tokens, plain

    def read(
        self,
        data: Any,
        y: Any = None,
        *,
        captions: str | None = None,
        lists: str | None = None,
        encoding: str = "utf-8",
    ) -> tuple[Captioned, list[int]]:
        """Data like those of training; see `reading.read`. DataError if they are of another kind."""
        size = self.inputs.size or (SIDE, SIDE)
        found = read(data, y, captions=captions, lists=lists, inputs=self.inputs.kind, size=size, encoding=encoding)
        self.inputs.check(found[0])
        return found

    def predict(self, data: Any, decoding: Decoding | None = None) -> list[str]:
        """A caption of each image or clip; see `Captioner.predict`."""
        return [text for part in self._chunks(data) for text in self.texts(part, decoding)]

    def texts(self, data: Captioned, decoding: Decoding | None = None) -> list[str]:
        """A caption of each image that was read."""
        if self.net is None:
            assert self.plain is not None
            return self.plain.predict(data)
        return [self._text(best) for best, *_ in self.decode(data, decoding)]

    def predictions(
        self, data: Any, decoding: Decoding | None = None, shard: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Captions as columns of a table; see `Captioner.predictions`."""
        for part in self._chunks(data):
            yield from predicted(shard, part.names, partial(self._tables, part, decoding))

    def _tables(self, images: Captioned, decoding: Decoding | None, chosen: np.ndarray) -> Iterator[dict[str, Any]]:
        part = images.take(chosen)
        if self.net is None:
            yield {"image": [*part.names], "caption": self.texts(part), "score": np.zeros(len(part))}
            return
        found = self.decode(part, decoding)
        yield {
            "image": [name for name, some in zip(part.names, found, strict=True) for _ in some],
            "caption": [self._text(one) for some in found for one in some],
            "score": np.array([one.score for some in found for one in some]),
        }

    def attention(self, data: Any) -> tuple[Captioned, list[str], np.ndarray]:
        """The first image, the words of its caption, and the attention weights (words, S)."""
        if self.net is None:
            raise OptionError("this model has no network whose attention could be drawn")
        first = next(self._chunks(data)).take([0])
        [[found, *_]] = self.decode(first)
        assert found.attention is not None
        return first, self.tokens.words(found.tokens), found.attention

    def decode(self, data: Captioned, decoding: Decoding | None = None) -> list[list[Hypothesis]]:
        """Captions of each image, the best first."""
        net, tokens, options = self.net, self.tokens, decoding or Decoding()
        options = replace(options, min_length=max(1, options.min_length))
        # A caption may be longer than any in training, but there has to be an end to it.
        longest = options.max_length or max(options.min_length, min(2 * tokens.longest + 5, MOST_TOKENS))
        many = max(1, min(_BATCH, _NUMBERS // int(np.prod(self.inputs.shape))))

        def decoded(start: int) -> list[list[Hypothesis]]:
            images = np.arange(start, min(start + many, len(data)))
            return decode(
                DecoderStep(net, encode, frames(data, images), options.width),
                options,
                sentences=len(images),
                start=tokens.start,
                end=tokens.end,
                limits=np.full(len(images), longest),
                forbidden=tokens.forbidden,
                lengths=data.lengths[images] * int(np.prod(net.encoder.map)),
            )

        return [some for own in each(decoded, range(0, len(data), many)) for some in own]

    def _text(self, hypothesis: Hypothesis) -> str:
        return self.tokens.text(hypothesis.tokens)

    def _chunks(self, data: Any) -> Iterator[Captioned]:
        """What is to be captioned, some hundred at a time."""
        for part in read_chunks(data, self.inputs.kind, self.inputs.size or (SIDE, SIDE)):
            self.inputs.check(part)
            yield part
