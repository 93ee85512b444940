"""Ten trainings on real data, with default settings, that nothing is wrong with."""

import gzip
import io

import numpy as np

from gatewise import Classifier, Detector, Forecaster, Generator, Tagger, Transcriber, Translator
from gatewise.data.paired.pairs import Pairs
from gatewise.data.readers.audio import read_audio
from gatewise.data.readers.conll import read_conll
from gatewise.data.readers.labelled_text import read_labelled_text
from gatewise.data.readers.ts import read_ts
from gatewise.data.sequences import Column


def series(name):
    return lambda data, **run: Classifier(split=(1, 0, 0)).fit(
        read_ts(data / "ucr_uea" / name / f"{name}_TRAIN.ts.gz"), **run
    )


def questions(data, **run):
    lines = read_labelled_text(data / "trec" / "TREC.train.all.gz", encoding="latin-1")
    return Classifier(epochs=4, ensemble=1).fit(lines.take(np.arange(2000)), **run)


def resumes(data, **run):
    train = read_conll(data / "resume_ner_zh" / "train.char.bmes.gz", repair=True)
    return Tagger(epochs=4).fit(train.take(np.arange(500)), **run)


def illness(data, **run):
    table = np.genfromtxt(io.StringIO(gzip.decompress(_only(data / "national_illness")).decode()), delimiter=",")
    return Forecaster(horizon=24).fit([table[1:, -1]], **run)


def transformer(data, **run):
    text = gzip.decompress(_only(data / "etth1")).decode().splitlines()
    values = np.array([[float(cell) for cell in line.split(",")[1:]] for line in text[1:4001]])
    return Forecaster(horizon=24).fit([values[:, -1]], **run)


def valves(data, **run):
    table = gzip.decompress((data / "skab" / "valve1" / "0.csv.gz").read_bytes()).decode().splitlines()
    values = np.array([[float(cell) for cell in line.split(";")[1:9]] for line in table[1:401]])
    return Detector().fit(values, **run)


def plays(data, **run):
    text = (data / "tinyshakespeare" / "input.txt").read_text()[:60_000]
    return Generator(epochs=4).fit(io.StringIO(text), **run)


def captions(data, **run):
    sources, targets = (
        gzip.decompress((data / "multi30k" / f"train.{language}.gz").read_bytes()).decode().splitlines()[:1200]
        for language in ("en", "fr")
    )
    return Translator(epochs=3).fit(Pairs(sources, targets, "multi30k"), **run)


def digits(data, **run):
    clips = read_audio(data / "fsdd_lucas", label_from="{label}_{speaker}_{index}")
    text = Column("text", "text", np.array(clips.static["label"].strings(), object))
    clips = type(clips)(clips.offsets, clips.steps, {"text": text})
    return Transcriber(epochs=6).fit(clips, **run)


def _only(folder):
    [path] = folder.glob("*.csv.gz")
    return path.read_bytes()


RUNS = {
    "vowels": series("JapaneseVowels"),
    "power": series("ItalyPowerDemand"),
    "questions": questions,
    "resumes": resumes,
    "illness": illness,
    "transformer": transformer,
    "valves": valves,
    "plays": plays,
    "captions": captions,
    "digits": digits,
}
