"""Makes the model files beside `test_old_models.py`: trained at revision 098e925, on data that is made up here; but
`sequential_texts`, which nothing trained, at revision 42edfcf.

    python tests/tasks/make_old_models.py [NAME ...]

Each `models/NAME.model` gets a `NAME.json`: the options that it was trained with, what it was asked, with the data, and
what it answered. Options have the names of that revision. Kept so that it is known where the files come from; it need
not run with later revisions.
"""

import gzip
import io
import json
import math
import os
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from test_old_models import MODELS, ask, plain

import gatewise
from gatewise import Captioner, Classifier, Detector, Forecaster, Generator, Sequential, Tagger, Transcriber, Translator
from gatewise.interop.cells import cell_of
from gatewise.runtime.sequential import Dense, Embedding, Recurrent, Scaling, architecture
from gatewise.tasks.sequential.texts import Tokens

MOST = 40_000  # bytes of a model file


def keep(name, model, given, questions):
    """Write the model, and what it answers.

    Args:
        given: Options that it was made with.
        questions: (method, data, options of the method).
    """
    path = MODELS / f"{name}.model"
    model.save(path)
    model = type(model).load(path)
    if path.stat().st_size > MOST:
        packed = MODELS / f"{name}.model.gz"
        packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
        path = packed
    assert path.stat().st_size <= MOST, (name, path.stat().st_size)
    asked, given_data = [], []
    for how, data, options in questions:
        with tempfile.TemporaryDirectory() as folder:
            answer = plain(ask(model, how, data, options, Path(folder)))
        if data not in given_data:
            given_data.append(data)
        asked.append({"ask": how, "of": given_data.index(data), "options": options, "answer": answer})

    def text(value):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    parts = {"task": text(model.task), "options": text(plain(given)), "metrics": text(plain(model.metrics_))}
    for key, rows in (("data", given_data), ("asked", asked)):
        parts[key] = "[\n  " + ",\n  ".join(map(text, rows)) + "\n ]"
    lines = ",\n ".join(f'"{key}": {value}' for key, value in parts.items())
    (MODELS / f"{name}.json").write_text("{\n " + lines + "\n}\n")
    print(f"{path.name}: {path.stat().st_size:,} bytes, and {(MODELS / f'{name}.json').stat().st_size:,} of JSON")


def array(values, dtype="float64"):
    """An array as the JSON has it; NaN is null."""
    rounded = np.asarray(values, dtype).tolist()
    return {"array": json.loads(json.dumps(rounded).replace("NaN", "null")), "dtype": dtype}


def arrays(some, dtype="float64"):
    return {"arrays": [array(one, dtype)["array"] for one in some], "dtype": dtype}


# --- generate ---------------------------------------------------------------------------------------------------------


def generate_text():
    text = "an ant ate ten tea tins.\na net, a tan nest: eat it at ten!\n" * 30
    given = {"hidden_size": 8, "embedding_size": 4, "num_layers": 2, "chunk_length": 16, "batch_size": 2, "epochs": 3.0}
    given |= {"learning_rate": 0.02, "cell": "peephole", "zoneout": 0.05, "forget_bias": 0.5, "seed": 3}
    model = Generator(**given, threads=1).fit(io.StringIO(text))
    questions = [
        ("sample", "a ", {"length": 40, "temperature": 0.0}),
        ("sample", "ten ", {"length": 40, "seed": 7}),
        ("sample", "", {"length": 30, "seed": 1, "top_k": 4, "top_p": 0.9, "temperature": 1.0}),
        ("next token", "ten tea", {}),
        ("evaluate", {"text": "a tin net: ten ants ate it.\n" * 4}, {}),
    ]
    keep("generate_text", model, given, questions)


def generate_words():
    draw = random.Random(0)
    text = "\n".join(
        f"the {draw.choice(('red', 'old', 'big'))} {draw.choice(('cat', 'dog'))} {draw.choice(('sat', 'ran'))} ."
        for _ in range(150)
    )
    given = {"tokens": "words", "min_frequency": 2, "hidden_size": 6, "embedding_size": 6, "tie_weights": True}
    given |= {"chunk_length": 10, "batch_size": 2, "epochs": 3.0, "learning_rate": 0.02, "cell": "gru", "seed": 1}
    model = Generator(**given, threads=1).fit(io.StringIO(text))
    questions = [
        ("sample", "the old", {"length": 12, "temperature": 0.0}),
        ("sample", "the ", {"length": 20, "seed": 7}),
        ("evaluate", {"text": "the big dog sat .\nthe red cat ran .\n" * 3}, {}),
    ]
    keep("generate_words", model, given, questions)


def pen(rng, length):
    turn = np.cumsum(0.3 + 0.05 * rng.standard_normal(length))
    up = (np.arange(length) % 6 == 5).astype(float)
    return np.column_stack([np.cos(turn), 3 * np.sin(turn) + 5, up]).round(3)


def generate_numbers():
    rng = np.random.default_rng(0)
    waves = [pen(rng, int(rng.integers(10, 24))) for _ in range(24)]
    given = {"hidden_size": 6, "mixtures": 2, "epochs": 8.0, "batch_size": 4, "learning_rate": 0.02, "dropout": 0.1}
    given |= {"chunk_length": 12, "seed": 2}
    model = Generator(**given, threads=1).fit(waves)
    prompt = array(pen(rng, 5))
    questions = [
        ("sample", "", {"length": 6, "temperature": 0.5, "seed": 1}),
        ("sample", prompt, {"length": 6, "temperature": 0.0, "seed": 1}),
        ("sample", prompt, {"length": 6, "temperature": 0.8, "seed": 4}),
        ("evaluate", arrays([pen(rng, n) for n in (12, 9)]), {}),
    ]
    keep("generate_numbers", model, given, questions)


# --- classify ---------------------------------------------------------------------------------------------------------


def classify_text():
    """With logistic regression as its baseline, which has a share in the prediction; its 131,072 weights for each
    class are nearly all 0, so the file is kept as a gzip file."""
    draw = random.Random(1)
    good, bad = ("great", "lovely", "fun", "warm"), ("dull", "poor", "slow", "flat")

    def said(count):
        labels = [draw.choice(("good", "bad")) for _ in range(count)]
        kinds = [(label == "good") == (draw.random() > 0.1) for label in labels]
        words = [(draw.choice(good if kind else bad), draw.choice((*good, *bad))) for kind in kinds]
        return [f"a {one} film and {other}" for one, other in words], labels

    given = {"tokens": "words", "embedding_size": 4, "hidden_size": 4, "num_layers": 1, "ensemble": 2, "epochs": 12.0}
    given |= {"batch_size": 8, "learning_rate": 0.02, "pooling": ("last", "attention"), "variation": 0.25}
    given |= {"word_dropout": 0.2, "seed": 1}
    model = Classifier(**given, threads=1).fit(*said(80), validation=said(60))
    assert 0 < model.trust_ < 1, model.trust_
    others, _ = said(6)
    others.append("never heard of it")
    questions = [(how, others, {}) for how in ("predict", "predict_proba", "decision_function", "predictions")]
    keep("classify_text", model, given, questions)


def risen(rng, count):
    y = rng.integers(0, 3, count)
    x = (y[:, None] - 1) * np.linspace(-1, 1, 10) + 0.6 * rng.normal(size=(count, 10)) + rng.normal(size=(count, 1))
    return np.stack([x, x[:, ::-1] ** 2], -1).round(3), np.array(["falls", "rests", "rises"])[y]


def classify_sensors():
    rng = np.random.default_rng(0)
    given = {"hidden_size": 5, "num_layers": 1, "ensemble": 1, "epochs": 12.0, "batch_size": 8, "learning_rate": 0.02}
    given |= {"variation": 0.5, "stride": 2, "pooling": "max", "cell": "gru", "label_smoothing": 0.0, "seed": 4}
    given |= {"class_weight": {"falls": 1.0, "rests": 2.0, "rises": 1.0}}
    x, y = risen(rng, 60)
    model = Classifier(**given, threads=1).fit(x, y)
    others = array(risen(rng, 6)[0])
    questions = [(how, others, {}) for how in ("predict", "predict_proba", "predictions")]
    keep("classify_sensors", model, given, questions)


def classify_number():
    """A number, of rows of a table."""
    rng = np.random.default_rng(2)

    def houses(count):
        size, kind = rng.normal(10, 3, count).round(2), rng.choice(["flat", "house"], count)
        price = (3 * size + 10 * (kind == "house")).round(2)
        return {"size": size.tolist(), "kind": kind.tolist(), "price": price.tolist()}

    given = {"target": "price", "hidden_size": 4, "num_layers": 1, "ensemble": 1, "epochs": 30.0, "batch_size": 8}
    given |= {"learning_rate": 0.02, "dropout": 0.0, "target_kind": "number"}
    model = Classifier(**given, threads=1).fit(houses(60))
    others = houses(5)
    keep("classify_number", model, given, [(how, others, {}) for how in ("predict", "predictions", "evaluate")])


# --- tag --------------------------------------------------------------------------------------------------------------


def tag_entities():
    draw = random.Random(0)

    def sentence():
        person = draw.sample(["Ann", "Bob", "Cleo"], draw.choice([1, 2]))
        words = [*person, draw.choice(["lives", "sat"]), "in", draw.choice(["York", "Nice"])]
        return words, ["B-PER", *["I-PER"] * (len(person) - 1), "O", "O", "B-LOC"]

    some = [sentence() for _ in range(60)]
    given = {"letters_size": 3, "embedding_size": 4, "hidden_size": 5, "epochs": 8.0, "batch_size": 4, "crf": True}
    given |= {"learning_rate": 0.03, "dropout": 0.1, "scheme": "BIO", "seed": 1}
    model = Tagger(**given, threads=1).fit([words for words, _ in some], [labels for _, labels in some])
    others = [["Bob", "Ann", "sat", "in", "York"], ["Nice", "Dora", "lives", "in", "Cleo"], ["Ann"], ["in", "Yorks"]]
    keep("tag_entities", model, given, [("predict", others, {}), ("predictions", others, {})])


def tag_numbers():
    """A number for each step, of a table; it is also a stream."""
    rng = np.random.default_rng(0)

    def drive(count):
        rows = []
        for robot in range(count):
            left, right, state = (
                rng.normal(2, 3, 30).round(3),
                rng.normal(2, 3, 30).round(3),
                rng.choice(["dry", "wet"], 30),
            )
            turn = left - right + 2 * (state == "wet")
            rows += [(f"r{robot}", t, left[t], right[t], str(state[t]), round(turn[t], 3)) for t in range(30)]
        names = ("robot", "tick", "left", "right", "state", "turn")
        return {name: [row[place] for row in rows] for place, name in enumerate(names)}

    given = {"target": "turn", "key": "robot", "time": "tick", "bidirectional": False, "hidden_size": 6, "epochs": 20.0}
    given |= {"batch_size": 4, "learning_rate": 0.02, "letters_size": 7, "chunk_length": 15, "seed": 2}
    model = Tagger(**given, threads=1).fit(drive(12))
    other = drive(1)
    other = {name: values[:12] for name, values in other.items()}
    other["left"][4] = None
    rows = [{name: other[name][k] for name in ("left", "right", "state")} for k in range(8)]
    rows[6]["state"] = "icy"
    keep("tag_numbers", model, given, [("predict", other, {}), ("predictions", other, {}), ("stream", rows, {})])


# --- forecast ---------------------------------------------------------------------------------------------------------


def sales(rng, hours, ahead=4):
    """Two shops by the hour: what was sold, unknown for the last hours, and what is known of it."""
    table = {name: [] for name in ("shop", "hour", "sold", "visits", "open", "deal", "region", "size")}
    for number, shop in enumerate(("north", "south")):
        for k in range(hours):
            last, deal = k >= hours - ahead, ("none", "some")[k // 5 % 2]
            level = 6 + 3 * number + 3 * math.sin(2 * math.pi * k / 6) + 2 * (deal == "some")
            row = (
                shop,
                f"2024-03-{1 + k // 24:02d} {k % 24:02d}:00",
                None if last or k == 20 else int(rng.poisson(level)),
                None if last or k == 31 else round(2 * level + rng.normal(), 3),
                int(k % 24 not in (0, 1)),
                deal,
                ("coast", "hill")[number],
                float(5 + 10 * number),
            )
            for name, value in zip(table, row, strict=True):
                table[name].append(value)
    return table


def forecast_quantiles():
    rng = np.random.default_rng(0)
    given = {"key": "shop", "time": "hour", "target": "sold", "horizon": 4, "season": 6, "context": 12}
    given |= {"past": ("visits",), "future": ("open", "deal"), "static": ("region", "size"), "levels": (0.1, 0.5, 0.8)}
    given |= {"hidden_size": 4, "epochs": 2.0, "batch_size": 16, "learning_rate": 0.01, "seed": 1}
    model = Forecaster(**given, threads=1).fit(sales(rng, 120))
    other = sales(rng, 40)
    questions = [
        ("predict", other, {}),
        ("predictions", other, {}),
        ("backtest", other, {"origins": 3, "stride": 2}),
    ]
    keep("forecast_quantiles", model, given, questions)


def forecast_counts():
    """Paths drawn step by step."""
    rng = np.random.default_rng(1)
    given = {"key": "shop", "time": "hour", "target": "sold", "horizon": 3, "season": 6, "context": 6}
    given |= {"future": "open", "static": "region", "mode": "autoregressive", "head": "negative-binomial"}
    given |= {
        "samples": 25,
        "calendar": False,
        "cell": "gru",
        "hidden_size": 4,
        "epochs": 1.0,
        "batch_size": 16,
        "seed": 1,
    }
    model = Forecaster(**given, threads=1).fit(sales(rng, 120))
    other = sales(rng, 30)
    questions = [("predict", other, {}), ("sample", other, {}), ("predictions", other, {})]
    keep("forecast_counts", model, given, questions)


# --- detect -----------------------------------------------------------------------------------------------------------


def sines(n, seed):
    rng, t = np.random.default_rng(seed), np.arange(n)[:, None]
    return (50 + 10 * (np.sin(2 * np.pi * t / np.array([20, 27])) + 0.1 * rng.standard_normal((n, 2)))).round(3)


def detected(name, **more):
    given = {"hidden_size": 6, "epochs": 6.0, "batch_size": 4, "window": 16, "false_alarm_rate": 0.02, "seed": 1}
    given |= {"smoothing": 3, "gap": 4, "min_length": 2, "learning_rate": 0.01, **more}
    model = Detector(**given, threads=1).fit(sines(500, 0))
    fresh = sines(60, 1)
    fresh[20, 0] = fresh[40] = np.nan
    fresh[30:34, 1] += 40
    data = array(fresh)
    questions = [(how, data, {}) for how in ("scores", "predict", "events", "predictions", "evaluate")]
    keep(name, model, given, [*questions, ("stream", data, {})])


def detect_prediction():
    detected("detect_prediction", memory=150)


def detect_reconstruction():
    detected("detect_reconstruction", method="reconstruction", distribution="gaussian")


def detect_both():
    detected("detect_both", method="both", memory=120, cell="gru")


# --- translate --------------------------------------------------------------------------------------------------------


def translate_copying():
    draw = random.Random(4)
    names = [f"{a}{b}" for a in ("Al", "Be", "Cy") for b in ("ka", "lo", "mi", "nu")]

    def calls(count):
        x = [f"call {draw.choice(names)} and {draw.choice(names)} now" for _ in range(count)]
        return x, [f"{one.split()[1]} , {one.split()[3]}" for one in x]

    given = {
        "copying": True,
        "tokens": "words",
        "embedding_size": 8,
        "hidden_size": 12,
        "epochs": 14.0,
        "batch_tokens": 40,
    }
    given |= {"learning_rate": 0.02, "dropout": 0.0, "min_frequency": 2, "attention": "additive", "seed": 1}
    model = Translator(**given, threads=1).fit(*calls(120))
    x, _ = calls(5)
    x.append("call Udo and Belo now")
    prefixes = ["", "Alka", "", "Belo", "", ""]
    questions = [("predict", x, {}), ("predict", x, {"prefixes": prefixes}), ("predictions", x, {})]
    keep("translate_copying", model, given, questions)


def translate_characters():
    """Numbers, backwards: two vocabularies, no attention."""
    draw = random.Random(5)
    words = ("nil", "one", "two", "six")
    some = [draw.choices(range(4), k=draw.randint(1, 3)) for _ in range(150)]
    x, y = [" ".join(words[n] for n in one) for one in some], ["".join(map(str, one[::-1])) for one in some]
    given = {
        "tokens": "characters",
        "shared_vocabulary": False,
        "attention": "none",
        "embedding_size": 6,
        "hidden_size": 12,
    }
    given |= {"epochs": 12.0, "batch_tokens": 40, "learning_rate": 0.02, "dropout": 0.0, "cell": "gru", "seed": 1}
    model = Translator(**given, threads=1).fit(x, y)
    keep("translate_characters", model, given, [(how, x[:6], {}) for how in ("predict", "predictions")])


# --- transcribe -------------------------------------------------------------------------------------------------------


def transcribe_steps():
    """Three letters, each a channel that is high for three steps; it is also a stream."""
    rng = np.random.default_rng(0)

    def spoken(count):
        x, texts = [], []
        for _ in range(count):
            letters = rng.integers(0, 3, rng.integers(1, 4))
            steps = [row for letter in letters for row in [np.eye(3)[letter]] * 3 + [np.zeros(3)] * 2]
            x.append((np.array(steps) + 0.1 * rng.normal(size=(len(steps), 3))).round(2))
            texts.append("".join("ack"[letter] for letter in letters))
        return x, texts

    given = {"stack": 2, "bidirectional": False, "hidden_size": 8, "num_layers": 1, "batch_size": 4, "epochs": 25.0}
    given |= {"learning_rate": 0.02, "time_mask": 0.05, "frequency_mask": 0.0, "normalisation": "training", "seed": 1}
    model = Transcriber(**given, threads=1).fit(*spoken(60))
    x, _ = spoken(5)
    data = arrays(x)
    pieces = arrays([x[0][:3], x[0][3:4], x[0][4:], x[1]])
    questions = [("predict", data, {}), ("predictions", data, {"times": True}), ("stream", pieces, {})]
    keep("transcribe_steps", model, given, questions)


def transcribe_lines():
    """Images of lines, read by a 2-D LSTM."""
    rng = np.random.default_rng(0)
    shapes = {"|": np.eye(4)[[1] * 4], "-": np.eye(4)[:, 1:2] * np.ones(4), "/": np.eye(4)[::-1]}

    def line():
        text = "".join(rng.choice(list(shapes), rng.integers(1, 4)))
        pixels = np.concatenate([np.pad(shapes[c], ((0, 0), (0, 1))) for c in text], 1)
        return text, np.clip(255 * (0.9 * pixels + 0.1 * rng.random(pixels.shape)), 0, 255).astype(np.uint8)

    given = {"maps": 2, "stack": 2, "hidden_size": 6, "num_layers": 1, "batch_size": 4, "epochs": 25.0}
    given |= {"learning_rate": 0.02, "seed": 1}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(50):
            text, pixels = line()
            Image.fromarray(pixels).save(f"{folder}/{number:02d}.png")
            Path(f"{folder}/{number:02d}.txt").write_text(text)
        before = os.getcwd()
        os.chdir(folder)  # so that the file does not name a folder of that day
        try:
            model = Transcriber(**given, threads=1).fit(".")
        finally:
            os.chdir(before)
    data = {"files": {f"{k}.png": line()[1].tolist() for k in range(6)}}
    keep("transcribe_lines", model, given, [("predict", data, {}), ("predictions", data, {})])


# --- caption ----------------------------------------------------------------------------------------------------------


def caption_images():
    rng = np.random.default_rng(0)
    colours = {"red": (220, 20, 30), "green": (20, 200, 40)}

    def lamps(count):
        images, captions = rng.integers(0, 30, (count, 8, 8, 3)), []
        for image in images:
            name, low = rng.choice(list(colours)), rng.random() < 0.5
            image[(4 if low else 0) :, int(rng.integers(0, 6)) :][:3, :3] = colours[name]
            captions.append(f"a {name} lamp {'below' if low else 'above'}")
        return images.astype(np.uint8), captions

    given = {"channels": 4, "embedding_size": 6, "hidden_size": 8, "batch_size": 8, "epochs": 20.0, "dropout": 0.0}
    given |= {"learning_rate": 0.02, "image_size": 8, "seed": 1}
    model = Captioner(**given, threads=1).fit(*lamps(100))
    data = array(lamps(4)[0], "uint8")
    keep("caption_images", model, given, [("predict", data, {}), ("predictions", data, {})])


def caption_clips():
    """A dot that goes left or right, over three to five frames."""
    rng = np.random.default_rng(0)

    def walks(count):
        clips, captions = [], []
        for _ in range(count):
            way, clip = int(rng.choice([-1, 1])), np.zeros((int(rng.integers(3, 6)), 4, 10), np.uint8)
            for step in range(len(clip)):
                clip[step, rng.integers(1, 3), 5 + way * step - (way < 0)] = 255
            clips.append(clip)
            captions.append(f"it goes {'right' if way > 0 else 'left'}")
        return clips, captions

    given = {"channels": 4, "embedding_size": 4, "hidden_size": 8, "batch_size": 8, "epochs": 20.0, "dropout": 0.0}
    given |= {"learning_rate": 0.02, "cell": "gru", "num_layers": 1, "seed": 1}
    model = Captioner(**given, threads=1).fit(*walks(60))
    data = arrays(walks(4)[0], "uint8")
    keep("caption_clips", model, given, [("predict", data, {}), ("predictions", data, {})])


# --- sequential -------------------------------------------------------------------------------------------------------


def sequential_texts():
    """As `gatewise import` makes one of a model that masks what fills up its texts; with weights by chance."""
    random = np.random.default_rng(0)
    layers = (
        Embedding(count=9, size=4, mask_zero=True),
        Recurrent(program=cell_of("lstm").to_json(), input_size=4, hidden_size=5, direction="both", zero_masked=True),
        Recurrent(program=cell_of("gru").to_json(), input_size=10, hidden_size=4, direction="backward", outputs="end"),
        Scaling(size=4),
        Dense(inputs=4, outputs=3, activation="softmax"),
    )
    shapes = dict(architecture(layers).weights())
    weights = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    words = ["", "[UNK]", "warm", "kind", "cold", "dull", "not", "very", "film"]
    given = {"target": "mood", "columns": "text"}
    imported = {"file": "mood.keras", "format": "keras", "version": "3.15.1", "sha256": "0" * 64, "notes": []}
    imported["proof"] = {"peer": "keras 3.15.1", "difference": 6e-08, "examples": 12, "install": "", "reason": ""}
    model = Sequential.of(
        layers,
        weights,
        vocabulary=Tokens(words, [*range(9)], "words"),
        classes=["good", "bad", "neither"],
        training={"data": {"fingerprint": ""}, "metrics": {}, "imported": imported},
        **given,
    )
    texts = ["a warm film", "Not very kind, not dull!", "cold", "very very cold , very dull film"]
    questions = [(how, texts, {}) for how in ("predict", "predictions", "answers")]
    keep("sequential_texts", model, given, questions)


if __name__ == "__main__":
    print(f"gatewise is {gatewise.__file__}")
    MODELS.mkdir(exist_ok=True)
    wanted = sys.argv[1:]
    makers = (
        *(generate_text, generate_words, generate_numbers, classify_text, classify_sensors, classify_number),
        *(tag_entities, tag_numbers, forecast_quantiles, forecast_counts),
        *(detect_prediction, detect_reconstruction, detect_both, translate_copying, translate_characters),
        *(transcribe_steps, transcribe_lines, caption_images, caption_clips, sequential_texts),
    )
    for maker in makers:
        if not wanted or maker.__name__ in wanted:
            maker()
