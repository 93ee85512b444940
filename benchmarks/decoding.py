"""How many sentences a second does a beam of five translate, beside the same model in eager PyTorch, one by one?

    python -m benchmarks.decoding [MODEL]

MODEL is a translator made by `gatewise fit translate`; without one, one is trained on multi30k for half an epoch, for
speed depends on sizes and lengths far more than on what is said. The other side is what one writes by hand with
torch.nn.LSTM: one sentence at a time, its five hypotheses as a batch, `topk` on the scores. Both must say the same of
every sentence before anything is timed.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does

import numpy as np
import torch
from torch import Tensor

from gatewise.data.paired.pairs import read_pairs
from gatewise.decoding import Decoding
from gatewise.tasks.translate.estimator import Translator
from gatewise.tasks.translate.predictor import Predictor
from gatewise.tasks.translate.texts import Texts

from .record import ROOT, write

DATA = ROOT.parent / "shared" / "data" / "multi30k"
SENTENCES, WIDTH, RUNS = 200, 5, 5


class Eager:
    """A translator with attention in plain PyTorch, a sentence at a time."""

    def __init__(self, translator: Translator):
        model, texts = translator.model_, translator.texts_
        if model.input_feeding or model.layers.cell.name != "lstm" or translator.attention != "multiplicative":
            sys.exit("this benchmark's eager model has LSTM layers and multiplicative attention, without input feeding")
        self.model, self.texts = model, texts
        E, H, layers = model.embedding.embedding_dim, model.layers.hidden_size, model.layers.num_layers
        self.encoder = torch.nn.LSTM(E, model.encoder.hidden_size, layers, bidirectional=True)
        self.encoder.load_state_dict(model.encoder.state_dict())
        self.decoder = torch.nn.LSTM(E, H, layers)
        self.decoder.load_state_dict(model.layers.state_dict())

    @torch.no_grad()
    def __call__(self, source: np.ndarray) -> list[int]:
        model, edge, penalty = self.model, self.texts.edge, lambda n: (5 + n) / 6
        y, (h, _) = self.encoder(model.embedding_scale * model.source_embedding(torch.from_numpy(source))[:, None])
        end = torch.cat([h[-2], h[-1]], -1)
        state = tuple(
            torch.tanh(getattr(model.start, name)(end)).view(-1, 1, self.decoder.hidden_size) for name in "hc"
        )
        keys, values = model.attention.W(y[:, 0]), y[:, 0]
        totals, written = torch.zeros(1), torch.full((1, 1), edge)
        ended: list[tuple[float, list[int]]] = []
        [limit] = self.texts.limits([source])
        for place in range(limit + 1):
            q, state = self.decoder(model.embedding_scale * model.embedding(written[:, -1])[None], state)
            looked = (q[0] @ keys.T).softmax(-1)
            log_p = model.output(torch.tanh(model.combine(torch.cat([looked @ values, q[0]], -1)))).log_softmax(-1)
            if place == limit:
                log_p[:, :edge] = -torch.inf
            scores, places = (totals[:, None] + log_p).flatten().topk(WIDTH - len(ended))
            rows, tokens = places // log_p.shape[1], places % log_p.shape[1]
            stops = (tokens == edge) | (scores == -torch.inf)
            for score, row, token in zip(scores[stops], rows[stops], tokens[stops], strict=True):
                if token == edge:
                    ended.append((float(score) / penalty(place + 1), written[row, 1:].tolist()))
            going: Tensor = ~stops
            if len(ended) >= WIDTH or not going.any():
                break
            if ended and float(scores[going].max()) / penalty(limit + 1) <= max(score for score, _ in ended):
                break  # nothing that is still written can win; ours stops there too
            rows = rows[going]
            totals, written = scores[going], torch.cat([written[rows], tokens[going][:, None]], 1)
            state = tuple(values[:, rows] for values in state)
        return max(ended, key=lambda one: one[0])[1]


def main(names: list[str]) -> None:
    translator = Translator.load(names[0]) if names else _trained()
    test = read_pairs((DATA / "test_2016_flickr.en.gz", DATA / "test_2016_flickr.de.gz"))
    texts: Texts = translator.texts_
    predictor = Predictor(net=translator._net, texts=texts)
    sources = texts.sources(test.sources[:SENTENCES])
    eager = Eager(translator)
    ours = [some[0].tokens.tolist() for some in predictor.decode(sources, Decoding())]
    theirs = [eager(source) for source in sources]
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    if same < len(sources):
        print(f"{len(sources) - same} of {len(sources)} sentences differ", file=sys.stderr)
    alone = [predictor.decode([source], Decoding())[0][0].tokens.tolist() for source in sources]
    speeds: dict[str, list[float]] = {"gatewise, together": [], "gatewise, one by one": [], "eager PyTorch": []}
    for _ in range(RUNS):  # in turn, so that a busy machine is unfair to none
        _timed(speeds["gatewise, together"], lambda: predictor.decode(sources, Decoding()))
        _timed(
            speeds["gatewise, one by one"],
            lambda: [predictor.decode([source], Decoding()) for source in sources],
        )
        _timed(speeds["eager PyTorch"], lambda: [eager(source) for source in sources])
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    found = {
        "sentences": len(sources),
        "beam": WIDTH,
        "weights": sum(weight.numel() for weight in translator.model_.parameters()),
        "vocabulary": len(texts.target),
        "threads": torch.get_num_threads(),
        "same_as_eager": same,
        "same_as_alone": sum(a == b for a, b in zip(ours, alone, strict=True)),
        "sentences_per_second": {
            name: {"median": medians[name], "least": min(some), "most": max(some)} for name, some in speeds.items()
        },
        "ratio": medians["gatewise, together"] / medians["eager PyTorch"],
    }
    for name, speed in medians.items():
        print(f"{name:<24}{speed:>10.1f} sentences/s")
    print(f"{found['ratio']:.1f} times eager PyTorch; {same} of {len(sources)} sentences the same")
    write("decoding", (__doc__ or "").partition("\n")[0], found)


def _timed(speeds: list[float], work: Callable[[], object]) -> None:
    started = time.perf_counter()
    work()
    speeds.append(SENTENCES / (time.perf_counter() - started))


def _trained() -> Translator:
    train = read_pairs((DATA / "train.en.gz", DATA / "train.de.gz"))
    return Translator(epochs=0.5).fit(train, validation=read_pairs((DATA / "val.en.gz", DATA / "val.de.gz")))


if __name__ == "__main__":
    main(sys.argv[1:])
