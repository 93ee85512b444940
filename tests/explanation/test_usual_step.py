"""The usual step is that of the training data, so that a row by itself is explained as among others."""

import io
from collections import Counter

import numpy as np
import pytest
from tasks.test_old_models import opened

import gatewise
from gatewise import Classifier, Generator, Tagger
from gatewise.explanation.question import OF_TRAINING, Ask
from gatewise.explanation.questions import question

SMALL = {"hidden_size": 4, "epochs": 1, "learning_rate": 0.01, "threads": 1, "seed": 1}
TEXTS = [f"{one} {other} film" for one in ("a good", "no bad", "some") for other in ("old", "new", "very dull", "dull")]
CLASSES = np.array(["long" if len(text.split()) > 3 else "short" for text in TEXTS])


def reloaded(model, folder):
    model.save(folder / "model")
    return gatewise.load(folder / "model")


def test_words_count_as_often_as_training_had_them(tmp_path):
    """By hand, over torch's weights."""
    model = Classifier(tokens="words", ensemble=1, share=1.0, **SMALL)
    model = reloaded(model.fit(TEXTS, CLASSES, validation=(TEXTS, CLASSES)), tmp_path)
    weight = model.model_.members[0].words.weight.detach().numpy().astype(np.float64)
    place = {word: number for number, word in enumerate(model.inputs_.text.words, 2)}
    counts = Counter(word for text in TEXTS for word in text.split())
    mean = sum(count * weight[place[word]] for word, count in counts.items()) / counts.total()
    asked, _ = question(model, ["a film"], 0, Ask())
    np.testing.assert_allclose(asked.parts[0].usual[0], mean, atol=1e-6)
    assert asked.usual == OF_TRAINING


def test_gaps_and_levels_count_as_often_as_training_had_them(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["id,y,level,kind"]
    levels, gaps = [], 0
    for row in range(40):
        for _ in range(3):
            levels.append(kind := str(rng.choice(["low", "high", "off"], p=[0.6, 0.3, 0.1])))
            gaps += (missing := rng.random() < 0.25)
            lines.append(f"{row},{row % 2},{'' if missing else f'{rng.normal():.3f}'},{kind}")
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    options = {"key": "id", "target": "y", "target_kind": "category", "ensemble": 1, "share": 1.0}
    path = str(tmp_path / "rows.csv")
    model = reloaded(Classifier(**options, **SMALL).fit(path, validation=path), tmp_path)
    [column] = model.inputs_.categories
    weight = model.model_.members[0].categories[0].weight.detach().numpy()
    mean = np.mean([weight[1 + column.levels.index(level)] for level in levels], 0)
    asked, _ = question(model, path, 5, Ask())
    kinds = next(part for part in asked.parts if asked.inputs[part.input].name == "kind")
    np.testing.assert_allclose(kinds.usual[0], mean, atol=1e-6)
    marks = next(part for part in asked.parts if part.usual.shape[1] == 2)  # the number, and whether it is missing
    np.testing.assert_allclose(marks.usual[0], [0, gaps / 120], atol=1e-6)


def tags():
    tokens = [text.split() for text in TEXTS]
    return Tagger(share=1.0, **SMALL).fit(tokens, [["X" if word == "film" else "O" for word in own] for own in tokens])


@pytest.mark.parametrize(
    "fitted",
    [
        lambda: (Classifier(ensemble=1, share=1.0, **SMALL).fit(TEXTS, CLASSES), TEXTS),
        lambda: (tags(), [text.split() for text in TEXTS]),
    ],
    ids=["classify", "tag"],
)
def test_a_row_by_itself_is_explained_as_among_others(fitted, tmp_path):
    model, data = fitted()
    model = reloaded(model, tmp_path)
    among, alone = gatewise.explain(model, data, row=5), gatewise.explain(model, data[5:6])
    assert alone.attribution == among.attribution
    assert alone.attribution.usual == OF_TRAINING


def test_a_text_is_explained_beside_the_tokens_of_training(tmp_path):
    text = " ".join(4 * TEXTS)
    model = reloaded(Generator(**SMALL).fit(io.StringIO(text)), tmp_path)
    asked, _ = question(model, io.StringIO("a good"), 0, Ask())
    ids = model.plain_.ids
    weight = model.model_.embedding.weight.detach().numpy().astype(np.float64)
    np.testing.assert_allclose(asked.parts[0].usual[0], weight[ids].mean(0), atol=1e-6)
    assert asked.usual.startswith(f"the mean embedding of {len(ids)} tokens of the training text")
    rates = {one.name: one.base_rate for one in asked.answer.choices}
    assert all(rate == pytest.approx(np.mean(ids == model.vocabulary_.encode(name)[0])) for name, rate in rates.items())


def test_older_files_fall_back_on_the_data_and_say_so(tmp_path):
    asked, _ = question(gatewise.load(opened("classify_text", tmp_path)), ["a dull film"], 0, Ask())
    assert asked.usual.endswith("that the model knows")
