"""Robustness cards: what each change does to the data, and that it does no more."""

import numpy as np
import pytest

from gatewise.data.paired.captions import from_arrays
from gatewise.data.sequences import Column, Sequences, category_column, offsets_of, text_column
from gatewise.errors import OptionError
from gatewise.tasks.stress import IMAGES, NUMBERS, SERIES, SOUND, TEXTS, Stressed, card, card_report
from gatewise.tasks.verdict import judged

RANDOM = np.random.default_rng(0)
HEARD = RANDOM.normal(-3, 2, (90, 12)).astype(np.float32)


def generator():
    return np.random.default_rng(7)


def sound():
    label = category_column("label", ["a", "b", "a"])
    return Sequences(offsets_of([30, 20, 40]), {"log_mel": Column("log_mel", "number", HEARD)}, {"label": label}, "s")


def changed(name):
    return SOUND[name](sound(), ["log_mel"], generator()).steps["log_mel"].values


def test_louder_is_a_hundred_times_the_energy_in_every_band():
    assert changed("loudness") == pytest.approx(HEARD + np.log(100), abs=1e-5)


def test_noise_is_20_db_below_each_recording():
    added = np.exp(changed("noise").astype(float)) - np.exp(HEARD)
    assert (added > -1e-6).all()
    first = slice(0, 30)
    assert added[first].mean() == pytest.approx(0.01 * np.exp(HEARD[first]).mean(), rel=0.15)


def test_a_narrow_band_lacks_the_upper_third():
    narrow = changed("band")
    assert (narrow[:30, -4:] == HEARD[:30].min()).all()
    assert (narrow[:, :-4] == HEARD[:, :-4]).all()


def test_shift_and_speed_change_lengths_alone():
    shifted = SOUND["shift"](sound(), ["log_mel"], generator())
    assert (shifted.lengths >= [30, 20, 40]).all()
    assert (shifted.lengths <= [37, 25, 50]).all()
    assert (shifted.steps["log_mel"].values[-40:] == HEARD[-40:]).all()
    faster = SOUND["speed"](sound(), ["log_mel"], generator())
    assert (np.abs(faster.lengths / [30, 20, 40] - 1) < 0.25).all()
    a, b = faster.offsets[:2]
    assert faster.steps["log_mel"].values[a] == pytest.approx(HEARD[0])
    assert faster.steps["log_mel"].values[b - 1] == pytest.approx(HEARD[29])
    assert faster.static["label"].strings() == ["a", "b", "a"]


def sensors():
    steps = {name: Column(name, "number", RANDOM.normal(5, 2, 50).astype(np.float32)) for name in ("x", "y")}
    return Sequences(offsets_of([20, 30]), steps, {}, "sensors")


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_change_in_the_named_columns_alone(name):
    before = sensors()
    after = NUMBERS[name](before, ["x"], generator())
    x, old = after.steps["x"].values, before.steps["x"].values
    assert (after.steps["y"].values == before.steps["y"].values).all()
    assert x.dtype == np.float32
    spread = old.std()
    match name:
        case "scale":
            assert x == pytest.approx(1.5 * old)
        case "offset":
            assert x == pytest.approx(old + spread, rel=1e-5)
        case "drift":
            assert x[[0, 20]] == pytest.approx(old[[0, 20]])
            assert x[[19, 49]] == pytest.approx(old[[19, 49]] + spread, rel=1e-5)
        case "noise":
            assert 0 < np.std(x - old) < 0.4 * spread
        case "missing":
            assert 0 < np.isnan(x).sum() < 15
            assert (x[~np.isnan(x)] == old[~np.isnan(x)]).all()


@pytest.mark.filterwarnings("error")
def test_a_series_moves_by_its_own_deviation_and_a_sensor_by_that_of_all_recordings():
    values = np.array([1.0, 3.0, 1.0, 3.0, 1000.0, 3000.0, np.nan, 1000.0, 3000.0, np.nan, np.nan])
    before = Sequences(offsets_of([4, 5, 2]), {"x": Column("x", "number", values)}, {}, "series")
    moved = {
        name: kind["offset"](before, ["x"], generator()).steps["x"].values - values
        for name, kind in (("own", SERIES), ("all", NUMBERS))
    }
    assert moved["own"][:9] == pytest.approx([1, 1, 1, 1, 1000, 1000, np.nan, 1000, 1000], nan_ok=True)
    assert moved["all"][:9] == pytest.approx(np.where(np.isnan(values[:9]), np.nan, np.nanstd(values)), nan_ok=True)


def texts(words):
    return Sequences(offsets_of([0] * len(words)), {}, {"text": text_column("text", words)}, "texts")


def test_texts_in_capitals_with_typing_errors_and_unknown_words():
    long = ["the quick brown fox jumps over the lazy dog " * 20, None]
    found = {
        name: change(texts(long), ["text"], generator()).static["text"].strings() for name, change in TEXTS.items()
    }
    assert found["case"] == [long[0].upper(), None]
    typed = found["typos"][0]
    assert typed != long[0]
    assert abs(len(typed) - len(long[0])) < 25
    known = set(long[0].split())
    words = found["unknown"][0].split()
    assert 0.03 < np.mean([word not in known for word in words]) < 0.2


PICTURES = RANDOM.integers(0, 256, (3, 16, 8, 3))


@pytest.mark.parametrize("range_of", [np.uint8, lambda x: (x / 255).astype(np.float32)])
@pytest.mark.parametrize("name", IMAGES)
def test_images_change_and_stay_in_their_range(name, range_of):
    before = from_arrays(range_of(PICTURES), ["a", "b", "c"])
    after = IMAGES[name](before, ["pixels"], generator())
    assert (after.captions, after.values.dtype, after.values.shape) == (
        before.captions,
        before.values.dtype,
        before.values.shape,
    )
    scale = 1 if before.numbers == "uint8" else 255
    x, old = after.values.astype(float) * scale, before.values.astype(float) * scale
    assert (x != old).any((1, 2, 3)).all()
    match name:
        case "dark":
            assert x == pytest.approx(old / 2, abs=0.51)
        case "contrast":
            assert x.mean((1, 2, 3)) == pytest.approx(old.mean((1, 2, 3)), abs=0.5)
            assert x.std((1, 2, 3)) == pytest.approx(old.std((1, 2, 3)) / 2, rel=0.01)
        case "grain":
            inside = (old > 100) & (old < 155)
            assert (x - old)[inside].std() == pytest.approx(25.5, rel=0.25)
        case "blur":
            assert x[:, 1:-1, 1:-1] == pytest.approx(
                np.mean([np.roll(old, (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)], 0)[:, 1:-1, 1:-1],
                abs=0.51,
            )
        case "moved":
            found = [
                (i, j)
                for i in range(-2, 3)
                for j in (-1, 0, 1)
                if np.allclose(x[0, 2:-2, 1:-1], np.roll(old[0], (i, j), (0, 1))[2:-2, 1:-1])
            ]
            assert len(found) == 1


def test_the_frames_of_a_clip_are_moved_alike():
    clip = from_arrays([np.repeat(PICTURES[:1], 4, 0).astype(np.uint8)], ["a"])
    moved = IMAGES["moved"](clip, ["pixels"], generator()).values
    assert (moved == moved[0]).all()


def test_a_card_judges_the_data_as_they_are_and_each_change_and_is_the_same_again():
    def evaluate(data):
        loud = float(data.steps["log_mel"].values.mean())
        return judged(
            measure="accuracy", part="all", model=0.9 - loud / 100, plain={"SVM": 0.8}, strongest="SVM", share=1.0
        )

    stressed = Stressed(sound(), {"sound": ["log_mel"], "texts": []}, evaluate)
    found = card(stressed, (), "classify")
    assert [*found] == ["as it is", *SOUND]
    assert found == card(stressed, (), "classify")
    assert found["loudness"]["model"] == pytest.approx(found["as it is"]["model"] - np.log(100) / 100)
    shown = card_report(card(stressed, ["loudness"], "classify")).splitlines()
    assert len(shown) == 4
    assert shown[2].split()[-4:] == ["0.885", "-0.046", "0.8", "+0.000"]
    assert max(map(len, shown)) <= 80


def test_what_did_not_change_is_shown_as_plus_0():
    def evaluate(data):
        less = float(data.steps["log_mel"].values.mean() > HEARD.mean()) * 1e-5
        return judged(measure="mae", part="all", model=1 + less, plain={"SVM": 2}, strongest="SVM", share=1.0)

    found = card(Stressed(sound(), {"sound": ["log_mel"]}, evaluate), ["loudness"], "classify")
    assert card_report(found).splitlines()[2].split()[-4:] == ["1", "+0.000", "2", "+0.000"]


def test_what_cannot_be_changed_or_judged_is_refused():
    def unjudged(data):
        return {}

    def flat(data):
        return judged(measure="mae", part="all", model=1, plain={"mean": 2}, strongest="mean", share=1.0)

    def never(data):
        raise AssertionError("evaluated before the change was looked up")

    with pytest.raises(OptionError, match="no stress test of such data named 'loudnes'"):
        card(Stressed(sound(), {"sound": ["log_mel"]}, never), ["loudnes"], "classify")
    with pytest.raises(OptionError, match="not compared with a plain method on these data"):
        card(Stressed(sound(), {"sound": ["log_mel"]}, unjudged), (), "classify")
    with pytest.raises(OptionError, match="no stress test for such data of the task 'caption'"):
        card(Stressed(sound(), {}, flat), (), "caption")
