"""Rows of the table of quality for `translate`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gatewise.data.datasets.builtin import docstring_summaries, written_dates
from gatewise.data.paired.pairs import Pairs, read_pairs
from gatewise.data.split import split_at_random
from gatewise.decoding import Decoding
from gatewise.metrics.text import text_scores
from gatewise.tasks.translate.baselines import Nearest, count_first_words, first_words
from gatewise.tasks.translate.estimator import Translator

from .row import Row


def captions(language: str, options: dict[str, Any], data: Path, seed: int) -> dict[str, Any]:
    """The training files are learned from, the val files choose the best weights; cased and detokenised."""
    train, val, test = (
        read_pairs((data / "multi30k" / f"{part}.en.gz", data / "multi30k" / f"{part}.{language}.gz"))
        for part in ("train", "val", "test_2016_flickr")
    )
    translator = Translator(seed=seed, **options).fit(train, validation=val)
    metrics = translator.evaluate(test)
    metrics["baselines"]["nearest"] = figures(Nearest(train.sources, train.targets or []), test)
    return answer(metrics, "all", "bleu", options) | {"validation": kept(translator.metrics_["validation"])}


def summaries(data: Path, seed: int) -> dict[str, Any]:
    """Docstrings that say little behind their summary, or nothing, are learned from as well. The figure is how far chrF
    is above that of the first words of the text, as many as a summary has on average.

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
    metrics["baselines"]["nearest"] = figures(Nearest(train.sources, train.targets or []), test)
    found = answer(metrics, "all", "chrf", options | search)
    return found | {"chrf_above_first_words": found["chrf"] - found["baselines"]["first words"]}


def dates(data: Path, seed: int) -> dict[str, Any]:
    """Default settings and shares; 5,000 dates."""
    return answer(Translator(seed=seed).fit(written_dates(5000, seed)).metrics_, "test", "exact_match", {})


def figures(method: Callable[[str], str], pairs: Pairs) -> dict[str, Any]:
    """Of a plain method, which turns one text into another."""
    return text_scores([method(text) for text in pairs.sources], [[text] for text in pairs.targets or []])


def answer(metrics: dict[str, Any], part: str, measure: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a row's `run` returns."""
    baselines = {name: found[measure] for name, found in metrics["baselines"].items()}
    return {**kept(metrics[part]), "baselines": baselines, "signatures": metrics["signatures"], "options": options}


def kept(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("bleu", "chrf", "exact_match", "token_accuracy", "loss", "pairs")}


def row(name: str, language: str, goal: float, options: dict[str, Any], yardstick: str) -> Row:
    return Row(
        name,
        "translate",
        f"multi30k: its own train and val files, English to {language}, test_2016_flickr",
        "bleu",
        goal,
        "more",
        lambda data, seed: captions(language, options, data, seed),
        yardstick=yardstick,
    )


# Products of bfloat16, so that a run takes less than 40 minutes on two cores; and the weights whose greedy translations
# of the val file have the highest BLEU.
_CAPTIONS = {"precision": "bfloat16", "stop_on": "bleu"}

ROWS = (
    row("multi30k_de", "de", 36, _CAPTIONS, "attentive NMT about 38; a torch BiLSTM with dot attention, greedy, 33.0"),
    row("multi30k_de_plain", "de", 0, {**_CAPTIONS, "attention": "none"}, "what attention is worth: the row above"),
    row("multi30k_fr", "fr", 55, _CAPTIONS, ""),
    Row(
        "docstrings",
        "translate",
        "docstrings of Python's standard library to their first paragraph: shares 0.9, 0.05, 0.05 at random; those "
        "with fewer than ten words behind it are learned from too",
        "chrf_above_first_words",
        0,
        "more",
        summaries,
    ),
    Row(
        "dates",
        "translate",
        "5,000 dates drawn from 1900 to 2099, written in 23 ways: shares 0.9, 0.05, 0.05 at random",
        "exact_match",
        0.98,
        "more",
        dates,
        (0, 1, 2),
    ),
)
