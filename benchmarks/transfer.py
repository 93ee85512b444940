"""What does going on from a model that was trained before save on small data?

    python -m benchmarks.transfer [text] [sentences] [sentences-from-model] [...-choices]

`text`: a language model of characters learns 50,000 characters of Alice in Wonderland, from scratch and from a model of
a million characters of War and Peace; measured on the rest of Alice. `sentences`: a classifier learns 500 labelled
sentences of SST-2 from scratch, and `sentences-from-model` from a language model of words of all 6,920 training
sentences, without their labels; measured on the test sentences, of which neither has seen any. Three seeds each, which
also draw the 500. The plain methods beside them are those that every fit is compared with.

The parts with `-choices` are what was looked at before: they measure on validation data alone, with other seeds.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.sequences import Sequences, category_column, text_column
from gatewise.data.text.cooccurrence import cooccurrence_vectors
from gatewise.data.text.segmentation import token_pattern
from gatewise.tasks.classify.baselines.fitting import FOLDS, learned_ngrams, learned_vectors
from gatewise.tasks.classify.baselines.method import Examples
from gatewise.tasks.classify.baselines.plain import NGRAMS, VECTORS
from gatewise.tasks.classify.estimator import Classifier
from gatewise.tasks.classify.statistics import learn_inputs
from gatewise.tasks.classify.targets import Targets
from gatewise.tasks.classify.transfer import VECTOR_WIDTH
from gatewise.tasks.generate.estimator import Generator
from gatewise.tasks.options import RATE

from .record import ROOT, measured_anew

DATA = ROOT.parent / "shared" / "data"
SEEDS, SEEDS_OF_CHOICES = (1, 2, 3), (10, 11, 12)
LABELLED = 500
LEARNED = 50_000  # characters of Alice
READ = 1_000_000  # of War and Peace


def lines_of(part: str) -> list[list[str]]:
    """[label, sentence] of a part of SST-2."""
    with gzip.open(DATA / "sst2" / f"stsa.binary.{part}.gz", "rt", encoding="utf-8") as file:
        return [line.rstrip("\n").split(" ", 1) for line in file]


def language_model_of_a_book(path: Path) -> Path:
    if path.exists():  # for another part
        return path
    with gzip.open(DATA / "war_and_peace" / "warpeace_input.txt.gz", "rt", encoding="utf-8") as file:
        text = file.read(READ)
    options = {"hidden_size": 256, "num_layers": 1, "dropout": 0.1, "epochs": 3, "seed": 1}
    Generator(**options).fit(io.StringIO(text), output=path, verbose=1)
    return path


def text_fit(seed: int, model: Path | None, **options: Any) -> dict[str, Any]:
    """One training on the beginning of Alice, and bits per character of the rest."""
    whole = (DATA / "alice" / "wonderland.txt").read_text(encoding="utf-8")
    generator = Generator(seed=seed, **options).fit(io.StringIO(whole[:LEARNED]), start_from=model)
    found = generator.evaluate(io.StringIO(whole[LEARNED:]), unknown="skip")
    validation = generator.metrics_["validation"]["bits_per_character"]
    plain = {name: one["bits_per_character"] for name, one in found["baselines"].items()}
    sizes = generator.sizing_
    return {
        "validation": validation,
        "held_out": found["all"]["bits_per_character"],
        "plain": plain,
        "steps": generator.outcome_.step,
        "best_step": generator.outcome_.best_step,
        "seconds": round(generator.outcome_.seconds, 1),
        "sizes": {name: getattr(sizes, name) for name in ("hidden_size", "num_layers", "learning_rate", "epochs")},
    }


def text(folder: Path) -> dict[str, Any]:
    model = language_model_of_a_book(folder / "book.gatewise")
    return {
        "from scratch": [text_fit(seed, None) for seed in SEEDS],
        "from War and Peace": [text_fit(seed, model) for seed in SEEDS],
    }


def text_choices(folder: Path) -> dict[str, float]:
    """Validation, in bits per character, with several learning rates."""
    model, default = language_model_of_a_book(folder / "book.gatewise"), 1e-2
    rates = (default, default * RATE, default * RATE**2)
    return {f"rate {rate:.3g}": text_fit(10, model, learning_rate=rate, epochs=10)["validation"] for rate in rates}


def language_model_of_sentences(path: Path) -> Path:
    if path.exists():
        return path
    text = "\n".join(sentence for _, sentence in lines_of("train"))
    options = {"tokens": "words", "hidden_size": 128, "num_layers": 1, "vocabulary_size": 6000, "epochs": 4, "seed": 1}
    Generator(**options).fit(io.StringIO(text), output=path, verbose=1)
    return path


def sentences_fit(seed: int, part: str, model: Path | None, **options: Any) -> dict[str, Any]:
    """One training on some labelled sentences, and the accuracy on a part that is held out."""
    some = random.Random(seed).sample(lines_of("train"), LABELLED)
    held_out = lines_of(part)
    classifier = Classifier(seed=seed, **options).fit(
        [sentence for _, sentence in some], [label for label, _ in some], start_from=model
    )
    found = classifier.evaluate([sentence for _, sentence in held_out], [label for label, _ in held_out])
    plain = {name: one["accuracy"] for name, one in found["baselines"].items()}
    network = found.get("network", found["all"])
    return {
        "accuracy": found["all"]["accuracy"],
        "network_alone": network["accuracy"],
        "share": classifier.blend_weight_,
        "plain": plain,
        "seconds": round(classifier.outcome_.seconds, 1),
    }


def sentences(folder: Path) -> list[dict[str, Any]]:
    return [sentences_fit(seed, "test", None, ensemble=1) for seed in SEEDS]


def sentences_from_model(folder: Path) -> list[dict[str, Any]]:
    model = language_model_of_sentences(folder / "sentences.gatewise")
    return [sentences_fit(seed, "test", model, ensemble=1) for seed in SEEDS]


def sentences_choices(folder: Path) -> dict[str, Any]:
    """Accuracy on the development sentences of several ways of reading, and rates."""
    model, found = language_model_of_sentences(folder / "sentences.gatewise"), {}
    found["from scratch"] = sentences_fit(10, "dev", None, ensemble=1)
    for bidirectional in (True, False):
        for rate in (2e-3, 2e-3 * RATE):
            name = f"bidirectional {bidirectional}, rate {rate:.2g}"
            options = {"bidirectional": bidirectional, "learning_rate": rate, "ensemble": 1}
            found[name] = sentences_fit(10, "dev", model, **options)
    return found


def vectors_choices(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Accuracy of linear models of 500 labelled texts, on others that are held out of training files (of SST-2 its dev
    file): of TF-IDF of words, and of word vectors, which all texts that are not held out made, or the 500."""
    found = {}
    for name, (texts, held) in {"sst2": (lines_of("train"), lines_of("dev")), **training_texts()}.items():
        classes = sorted({label for label, _ in texts})
        known = [token_pattern().findall(text.lower()) for _, text in texts]
        words = sorted({word for own in known for word in own})
        found[name] = {method: [] for method in (NGRAMS["words"], f"{VECTORS} of all", f"{VECTORS} of the 500")}
        for seed in SEEDS_OF_CHOICES:
            rows = random.Random(seed).sample(range(len(texts)), LABELLED)
            data, others = (_sequences(own, classes) for own in ([texts[row] for row in rows], held))
            targets, order = Targets("category", ("label",), tuple(classes)), np.arange(LABELLED)
            examples = Examples(learn_inputs(data, order, ["label"]), targets, data, order, order)
            models = [learned_ngrams("words", examples, None, order % FOLDS)]
            for some in (known, [known[row] for row in rows]):
                vectors = words, _vectors(some, words)
                models.append(learned_vectors(vectors, examples, None, order % FOLDS))
            for scores, (model, _) in zip(found[name].values(), models, strict=True):
                answer = model.outputs(examples.inputs, targets, others, np.arange(len(held)))
                scores.append(float((answer.argmax(1) == targets.encode(others)).mean()))
    return found


def training_texts() -> dict[str, tuple[list[list[str]], list[list[str]]]]:
    """By set, [label, text] to learn from and to hold out: of the training file of trec, and of news, whose file is
    the test part of a larger set."""
    with gzip.open(DATA / "trec" / "TREC.train.all.gz", "rt", encoding="latin-1") as file:
        questions = [line.rstrip("\n").split(" ", 1) for line in file]
    with gzip.open(DATA / "ag_news_test" / "test.csv.gz", "rt", encoding="utf-8", newline="") as file:
        news = [[topic, f"{title} {text}"] for topic, title, text in csv.reader(file)]
    found = {}
    for name, rows in (("trec", questions), ("ag_news_test", news)):
        random.Random(99).shuffle(rows)
        found[name] = rows[1_500:], rows[:1_500]
    return found


def _sequences(rows: list[list[str]], classes: list[str]) -> Sequences:
    labels, texts = zip(*rows, strict=True)
    columns = {"text": text_column("text", [*texts]), "label": category_column("label", [*labels], classes)}
    return Sequences(np.zeros(len(rows) + 1, np.int64), {}, columns)


def _vectors(texts: list[list[str]], words: list[str]) -> np.ndarray:
    place = {word: number for number, word in enumerate(words)}
    ids = [number for text in texts for number in (*(place[word] for word in text), len(words))]
    return cooccurrence_vectors(np.array(ids), len(words) + 1, VECTOR_WIDTH, len(words))[:-1]


PARTS = {
    "text": text,
    "sentences": sentences,
    "sentences-from-model": sentences_from_model,
    "text-choices": text_choices,
    "sentences-choices": sentences_choices,
    "vectors-choices": vectors_choices,
}


def main(wanted: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = measured_anew(
            "transfer", (__doc__ or "").partition("\n")[0], PARTS, wanted, lambda part: PARTS[part](Path(folder))
        )
    for name, part in found.items():
        print(name, part)


if __name__ == "__main__":
    main(sys.argv[1:])
