"""The option `group` of every task that splits sequences, pairs, files or images: no group is in two parts."""

import numpy as np
import pytest

import gatewise
from gatewise.data.paired.captions import Captioned
from gatewise.data.paired.pairs import read_pairs
from gatewise.data.sources import Roles, read
from gatewise.errors import OptionError
from gatewise.tasks.caption.split import split_images
from gatewise.tasks.classify.split import split_sequences as split_classified
from gatewise.tasks.classify.targets import Targets
from gatewise.tasks.detect.series import parts_of, read_series, training_data
from gatewise.tasks.generate.numbers.examples import split_sequences as split_numbers
from gatewise.tasks.generate.text.corpus import grouped_text, split_text, text_of
from gatewise.tasks.tag.split import split_sequences as split_tagged

TINY = {"hidden_size": 4, "epochs": 0.1, "seed": 1}
SHARES = (0.6, 0.2, 0.2)


@pytest.fixture
def rides(tmp_path):
    """Six riders with three rides of four steps each."""
    rows = ["rider,ride,x,label"]
    rows += [f"r{n % 6},{n},{n + t},{'up' if n % 2 else 'down'}" for n in range(18) for t in range(4)]
    path = tmp_path / "rides.csv"
    path.write_text("\n".join(rows))
    return path


def riders(parts):
    return [set(part.static["rider"].strings()) for part in parts if len(part)]


def apart(held):
    assert len(held) > 1
    assert sum(map(len, held)) == len(set().union(*held)) == 6


def test_classify(rides):
    data = read(rides, roles=Roles(target=("label",), key=("ride",), group=("rider",)))
    targets = Targets.of(data, ("label",), None)
    parts = split_classified(data, targets, SHARES, seed=3, group=("rider",))
    assert [*parts.held_out] == ["test"]  # so few that the validation part trains too
    train, test = riders([data.take(parts.train), data.take(parts.test)])
    assert not train & test
    assert len(train | test) == 6


def test_a_classifier_does_not_read_the_group_and_predicts_without_it(rides, tmp_path):
    model = gatewise.Classifier(key="ride", target="label", group="rider", **TINY).fit(rides)
    assert "rider" not in [column.name for column in model.inputs_.categories]
    without = tmp_path / "without.csv"
    without.write_text("ride,x\n" + "\n".join(f"{n},{n}" for n in range(3)))
    assert len(model.predict(without)) == 3
    assert set(model.evaluate(rides)) >= {"train", "test"}


def test_tag_with_the_group_as_key(rides):
    data = read(rides, roles=Roles(target=("label",), group=("rider",), per_step=True))
    assert len(data) == 6  # a sequence for each rider, where no key is named
    apart(riders(split_tagged(data, SHARES, 3, ("rider",)).values()))


def test_a_tagger_does_not_read_the_group(rides):
    model = gatewise.Tagger(key="ride", target="label", group="rider", **TINY).fit(rides)
    assert [*model.features_.means] == ["x"]


def test_sequences_of_numbers(rides):
    roles = Roles(key=("ride",), columns=("x",), group=("rider",), per_step=True)
    data = read(rides, roles=roles)
    parts = split_numbers(data, None, SHARES, 1, ("rider",))
    firsts = [{int(v) for v in part.steps["x"].values[part.offsets[:-1]] % 6} for part in parts.values()]
    assert sum(map(len, firsts)) == len(set().union(*firsts)) == 6


def test_pairs_of_a_table_and_of_lines(tmp_path):
    lines = tmp_path / "talk.tsv"
    lines.write_text("\n".join(f"topic{n % 5}\tquestion {n}\tanswer {n}" for n in range(20)))
    found = read_pairs(lines, group="1")
    assert (found.sources[1], found.targets[1], found.groups[1]) == ("question 1", "answer 1", "topic1")
    assert found.take([2, 0]).groups == ["topic2", "topic0"]
    table = tmp_path / "talk.csv"
    table.write_text("topic,q,a\n" + "\n".join(f"t{n % 5},q {n},a {n}" for n in range(20)))
    read_back = read_pairs(table, group="topic")
    assert (read_back.sources[6], read_back.targets[6], read_back.groups[6]) == ("q 6", "a 6", "t1")
    assert read_pairs(table, group="topic", with_targets=False).sources[6] == "q 6"
    with pytest.raises(OptionError, match="group='topic' is for tables, not for lists"):
        read_pairs(["a"], ["b"], group="topic")
    with pytest.raises(OptionError, match="has 3 columns between tabs, so there is no column 4"):
        read_pairs(lines, group="4")


def test_whole_files_of_text(tmp_path):
    for name, length in (("a", 900), ("b", 200), ("c", 210), ("d", 190)):
        (tmp_path / f"{name}.txt").write_text(name * length)
    paths = sorted(tmp_path.iterdir())
    read = text_of(paths, "utf-8")
    text, shares = grouped_text(read, ["file"], SHARES, 0)
    assert len(text) == len(text.read()) == 1504
    assert "a.txt" in text.name
    from gatewise.data.text.vocabulary import Characters

    parts = split_text(text, shares, Characters(text.characters)).texts
    held = [set(part) - {"\n"} for part in parts.values()]
    assert sum(map(len, held)) == len(set().union(*held)) == 4
    with pytest.raises(OptionError, match="group='book' needs columns, and text has none"):
        grouped_text(read, ["book"], SHARES, 0)
    with pytest.raises(OptionError, match="which is 2 files, too few for 3 parts"):
        grouped_text(text_of(paths[:2], "utf-8"), ["file"], SHARES, 0)


def test_a_generator_of_several_files_evaluates_the_parts_that_it_was_trained_on(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text(f"{name} rhyme of {name}\n" * 60)
    paths = sorted(tmp_path.iterdir())
    model = gatewise.Generator(group="file", split=SHARES, chunk_length=8, batch_size=2, **TINY).fit(paths)
    again = model.evaluate(paths)
    assert set(again) >= {"train", "validation", "test"}
    assert again["test"]["loss"] == pytest.approx(model.metrics_["test"]["loss"])


def test_images_of_a_folder_stay_together():
    names = tuple(f"day{n % 4}/{n}.png" for n in range(24))
    captions = tuple((f"image {n}",) for n in range(24))
    data = Captioned("images", np.zeros((24, 4, 4, 1), np.uint8), np.arange(25), captions, names)
    parts = split_images(data, [16, 4, 4], False, 0, ["folder"])
    held = [{name.split("/")[0] for name in part.names} for part in parts.values()]
    assert sum(map(len, held)) == len(set().union(*held)) == 4
    with pytest.raises(OptionError, match="group='day': images have no columns"):
        split_images(data, [16, 4, 4], False, 0, ["day"])


@pytest.fixture
def shops(tmp_path):
    """Six shops of three towns with fifty days each."""
    rows = ["town,shop,day,sold"]
    rows += [
        f"t{shop % 3},{shop},2024-{1 + day // 28:02}-{1 + day % 28:02},{shop * 10 + day % 7 + day / 50}"
        for shop in range(6)
        for day in range(50)
    ]
    path = tmp_path / "shops.csv"
    path.write_text("\n".join(rows))
    return path


def test_series_of_other_towns_validate_and_test_a_forecaster(shops):
    roles = {"key": "shop", "time": "day", "target": "sold", "group": "town", "horizon": 3}
    model = gatewise.Forecaster(**roles, split=SHARES, context_length=7, **TINY).fit(shops)
    raw = read(shops, roles=Roles(key=("shop",), time="day", group=("town",), per_step=True))
    held = [set(part.static["town"].strings()) for part in model._by_group(raw).values()]
    assert sum(map(len, held)) == len(set().union(*held)) == 3
    assert set(model.metrics_) >= {"train", "validation", "test", "baselines", "share", "earned"}
    again = model.evaluate(shops)
    assert again["test"]["mase"] == pytest.approx(model.metrics_["test"]["mase"])
    assert model.predict(shops).shape == (6, 3)
    without = shops.with_name("without.csv")
    without.write_text("\n".join(line.partition(",")[2] for line in shops.read_text().splitlines()))
    assert model.predict(without) == pytest.approx(model.predict(shops))


def test_whole_series_of_a_detector_are_in_one_part(shops):
    series = read_series(str(shops), None, gatewise.Detector(key="shop", time="day", columns="sold", group="town"))
    parts = parts_of(series, SHARES, 1, ("town",))
    towns = series.source.static["town"].strings()
    held = [{town for town, part in zip(towns, parts, strict=True) if part[name].stop} for name in parts[0]]
    assert sum(map(len, held)) == len(set().union(*held)) == 3
    assert all(sum(part[name].stop for name in part) == 50 for part in parts)
    data = training_data(series, None, SHARES, 1, ("town",))
    # So few steps that the validation part trains too; no series of the test does.
    assert sum(map(len, data.training)) == 50 * len([part for part in parts if not part["test"].stop])
