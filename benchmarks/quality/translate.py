"""Rows of the table of quality for `translate`."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.datasets.builtin import docstring_summaries, written_dates
from gatewise.data.paired.pairs import Pairs, read_pairs
from gatewise.data.split import split_at_random
from gatewise.decoding import Decoding
from gatewise.metrics.text import text_scores
from gatewise.tasks.translate.baselines import count_first_words, first_words
from gatewise.tasks.translate.estimator import Translator

from .row import Row, judgement


def captions(language: str, options: dict[str, Any], data: Path, seed: int) -> dict[str, Any]:
    """The training files are learned from, the val files choose the best weights; cased and detokenised."""
    train, val, test = (
        read_pairs((data / "multi30k" / f"{part}.en.gz", data / "multi30k" / f"{part}.{language}.gz"))
        for part in ("train", "val", "test_2016_flickr")
    )
    translator = Translator(seed=seed, **options).fit(train, validation=val)
    metrics = translator.evaluate(test)
    return answer(metrics, "all", "bleu", options) | {"validation": kept(translator.metrics_["validation"])}


def summaries(data: Path, seed: int) -> dict[str, Any]:
    """Docstrings that say little behind their summary, or nothing, are learned from as well. Beside them stand the
    first words of the text, as many as a summary has on average.

    chrF weights recall, so the search favours longer summaries. That, the dropout, arguments beside names, and what
    more to learn from were chosen on the validation part.
    """
    pairs = docstring_summaries()
    train, validation, test = split_at_random(pairs, (0.9, 0.05, 0.05), seed, "pairs").values()
    every, known = docstring_summaries(least=0), {*pairs.sources, *(pairs.targets or [])}
    short = every.take(
        [i for i, both in enumerate(zip(every.sources, every.targets or [], strict=True)) if not known & {*both}]
    )
    whole = Pairs(train.sources + short.sources, (train.targets or []) + (short.targets or []), pairs.name)
    options = {"copy_mechanism": True, "dropout": 0.35}
    search = {"length_penalty": 3.0, "no_repeat_ngram": 2}
    translator = Translator(seed=seed, **options).fit(whole, validation=validation)
    metrics = translator.evaluate(test, decoding=Decoding(**search))
    metrics["baselines"]["first words"] = figures(partial(first_words, count=count_first_words(train)), test)
    return answer(metrics, "all", "chrf", options | search)


def dates(data: Path, seed: int) -> dict[str, Any]:
    """Default settings and shares; 5,000 dates."""
    return answer(Translator(seed=seed).fit(written_dates(5000, seed)).metrics_, "test", "exact_match", {})


def pairs_of(file: str, data: Path) -> Pairs:
    """Pairs of lists that are not read as such by `fit`."""
    if file == "headlines":
        with gzip.open(data / "ag_news_test/test.csv.gz", "rt", encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines))
        return Pairs([row[2] for row in rows], [row[1] for row in rows], "ag_news_test")
    if file == "nl2bash":
        return read_pairs(tuple(data / f"nl2bash/all.{side}.gz" for side in ("nl", "cm")))
    if file == "tatoeba":
        return read_pairs(data / "tatoeba_eng_fra/fra.txt.gz")
    with gzip.open(data / "chatterbot_pairs/english.tsv.gz", "rt", encoding="utf-8") as lines:
        turns = [line.rstrip("\n").split("\t") for line in lines]
    return Pairs([turn[1] for turn in turns], [turn[2] for turn in turns], "chatterbot_pairs")


def by_source(pairs: Pairs, seed: int) -> list[Pairs]:
    """Nine tenths of the different sources to learn from, a twentieth to choose the weights, a twentieth for the test:
    pairs of one source are in one part."""
    different = sorted({*pairs.sources})
    np.random.default_rng(seed).shuffle(different)
    first, second = round(0.9 * len(different)), round(0.95 * len(different))
    part_of = {text: (place >= first) + (place >= second) for place, text in enumerate(different)}
    rows = [[i for i, source in enumerate(pairs.sources) if part_of[source] == part] for part in range(3)]
    return [pairs.take(some) for some in rows]


def short(file: str, options: dict[str, Any], data: Path, seed: int) -> dict[str, Any]:
    train, validation, test = by_source(pairs_of(file, data), seed)
    translator = Translator(seed=seed, **options).fit(train, validation=validation)
    found = answer(translator.evaluate(test), "all", "bleu", options)
    seconds = translator.provenance_["seconds"]
    return found | {"validation": kept(translator.metrics_["validation"]), "training_seconds": seconds}


def figures(method: Callable[[str], str], pairs: Pairs) -> dict[str, Any]:
    """Of a plain method, which turns one text into another."""
    return text_scores([method(text) for text in pairs.sources], [[text] for text in pairs.targets or []])


def answer(metrics: dict[str, Any], part: str, measure: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a row's `run` returns."""
    baselines = {name: found[measure] for name, found in metrics["baselines"].items()}
    rest = {"baselines": baselines, "signatures": metrics["signatures"], "options": options}
    return {**kept(metrics[part]), **judgement(metrics), **rest}


def kept(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("bleu", "chrf", "exact_match", "token_accuracy", "loss", "pairs")}


def row(name: str, language: str, options: dict[str, Any], yardstick: str) -> Row:
    return Row(
        name,
        "translate",
        f"multi30k: its own train and val files, English to {language}, test_2016_flickr",
        "bleu",
        "more",
        lambda data, seed: captions(language, options, data, seed),
        yardstick=yardstick,
    )


def by_preset(name: str, file: str) -> tuple[Row, Row]:
    """A row with the defaults, and one with the preset "small"."""
    return tuple(
        Row(
            f"{name}{suffix}",
            "translate",
            f"{file}: shares 0.9, 0.05, 0.05 of the different sources at random",
            "bleu",
            "more",
            partial(short, file, options),
        )
        for suffix, options in (("", {}), ("_small", {"preset": "small"}))
    )


# Products of bfloat16, so that a run takes less than 40 minutes on two cores; and the weights whose greedy translations
# of the val file have the highest BLEU.
_CAPTIONS = {"precision": "bfloat16", "stop_on": "bleu"}

ROWS = (
    row("multi30k_de", "de", _CAPTIONS, "attentive NMT about 38; a torch BiLSTM with dot attention, greedy, 33.0"),
    row("multi30k_de_plain", "de", {**_CAPTIONS, "attention": "none"}, "what attention is worth: the row above"),
    row("multi30k_fr", "fr", _CAPTIONS, ""),
    Row(
        "docstrings",
        "translate",
        "docstrings of Python's standard library to their first paragraph: shares 0.9, 0.05, 0.05 at random; those "
        "with fewer than ten words behind it are learned from too",
        "chrf",
        "more",
        summaries,
    ),
    Row(
        "dates",
        "translate",
        "5,000 dates drawn from 1900 to 2099, written in 23 ways: shares 0.9, 0.05, 0.05 at random",
        "exact_match",
        "more",
        dates,
        (0, 1, 2),
    ),
    *by_preset("tatoeba_fr", "tatoeba"),
    *by_preset("nl2bash", "nl2bash"),
    *by_preset("chatterbot", "chatterbot"),
    *by_preset("headlines", "headlines"),
)
