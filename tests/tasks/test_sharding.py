"""`predict --shard`: what all shards write is what one run writes, to the byte, in whatever order."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from serving import old_model
from test_scoring import KEYS, SMALL, detector, table, transcriber

import gatewise
from gatewise.cli import main
from gatewise.errors import OptionError
from gatewise.tasks.sharding import Shard, shard_of

MANY = [*KEYS, *(f"pump {number}" for number in range(20))]


def tagger():
    options = {"bidirectional": True, "crf": True, "share": 0.5}
    return gatewise.Tagger(**SMALL, **options, target="mode").fit(table(steps=60))


def counts(rows):
    return rows.assign(**{name: (rows[name] * 3).abs().round() for name in ("flow", "heat")})


def forecaster(**options):
    target = ("flow", "heat") if options.get("mode") is None else "flow"
    covariates = {"past_covariates": ("mode",)} if options.get("mode") is None else {}
    sizes = {"horizon": 3, "context_length": 12, "samples": 20}
    return gatewise.Forecaster(**SMALL, **sizes, target=target, **covariates, **options).fit(counts(table(steps=200)))


def classifier(**options):
    rows = table(keys=[f"{kind}{number}" for number in range(30) for kind in "ab"], steps=12)
    rows["kind"] = rows["pump"].str[0]
    return gatewise.Classifier(**SMALL, target="kind", **options).fit(rows)


MODELS = {
    "detect": detector,
    "tag": tagger,
    "transcribe": transcriber,
    "forecast": lambda: forecaster(share=0.5),
    "forecast paths": lambda: forecaster(share=0.5, mode="autoregressive", head="student-t"),
    "forecast draws": lambda: forecaster(share=0.5, head="negative-binomial"),
    "classify": lambda: classifier(share=0.5),
}


def lines_of(path):
    header, *lines = path.read_text().splitlines()
    return header, lines


def check_union(model, data, folder, count=3):
    """What the shards write, together, is what one run writes. Returns how many lines each wrote."""
    command = ["predict", str(model), str(data), "--force", "-o"]
    assert main([*command, str(folder / "whole.csv")]) == 0
    header, whole = lines_of(folder / "whole.csv")
    found, sizes = [], []
    for number in range(1, count + 1):
        path = folder / f"{number}.csv"
        assert main([*command, str(path), "--shard", f"{number}/{count}"]) == 0
        own, lines = lines_of(path)
        assert own == header
        found += lines
        sizes.append(len(lines))
    assert sorted(found) == sorted(whole)
    return sizes


QUICK = ("forecast paths", "classify")  # the others take some seconds each


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_the_union_of_the_shards_is_the_whole(name, tmp_path):
    model = tmp_path / "model.gatewise"
    MODELS[name]().save(model)
    rows = table(keys=MANY, steps=70, seed=9)
    later = {key: number * 7 % 61 for number, key in enumerate(MANY)}  # series of different lengths
    rows = rows[rows.groupby("pump").cumcount() >= rows["pump"].map(later)]
    if name.startswith("forecast"):
        rows = counts(rows)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert min(check_union(model, tmp_path / "rows.csv", tmp_path)) > 0


def test_rows_texts_and_images_without_a_key(tmp_path):
    """Dealt out by their numbers, by themselves, by their names."""
    rng = np.random.default_rng(0)
    words = ["good", "bad", "film", "fine", "poor", "plot"]
    rows = pd.DataFrame({"text": [" ".join(rng.choice(words, 7)) for _ in range(60)], "label": ["a", "b", "c"] * 20})
    model = tmp_path / "texts.gatewise"
    gatewise.Classifier(hidden_size=4, epochs=1, threads=1).fit(rows).save(model)
    rows.drop(columns="label").to_csv(tmp_path / "texts.csv", index=False)
    assert min(check_union(model, tmp_path / "texts.csv", tmp_path)) > 5
    (tmp_path / "sources.txt").write_text("".join(f"{number} cats and {number} dogs\n" for number in range(30)))
    assert min(check_union(old_model("translate_copying", tmp_path), tmp_path / "sources.txt", tmp_path)) > 3
    images = tmp_path / "images"
    images.mkdir()
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(images / f"{number}.png")
    assert min(check_union(old_model("caption_images", tmp_path), images, tmp_path)) > 0


def test_a_shard_without_a_key_has_columns_alone(tmp_path):
    """So that a job of many does not fail where there are few keys."""
    model = tmp_path / "model.gatewise"
    detector().save(model)
    table(keys=["b"], steps=20).to_csv(tmp_path / "rows.csv", index=False)
    sizes = check_union(model, tmp_path / "rows.csv", tmp_path, count=5)
    assert sorted(sizes) == [0, 0, 0, 0, 20]
    path = tmp_path / "1.parquet"
    assert main(["predict", str(model), str(tmp_path / "rows.csv"), "-o", str(path), "--shard", "1/5"]) == 0
    assert len(pd.read_parquet(path)) == sizes[0]


def test_the_hash_of_a_key_never_changes():
    hashes = {"b": "8472c2e34d854f75", "007": "492a8021fcec81bd", "größer": "1605d72e4ce63bae"}  # `b2sum -l 64`
    for name, digest in hashes.items():
        [found] = [number for number in range(1, 1001) if Shard(number, 1000).holds(name)]
        assert found == int(digest, 16) % 1000 + 1


@pytest.mark.parametrize("wrong", ["0/3", "4/3", "1/0", "3", "a/b", "1/2/3", "-1/3", "1/3.0", ""])
def test_what_is_no_shard_is_told_before_anything_is_read(wrong, tmp_path, capsys):
    with pytest.raises(OptionError, match="shard is K/N with K from 1 to N, such as 2/8, not"):
        shard_of(wrong)
    model = old_model("detect_prediction", tmp_path)
    assert main(["predict", str(model), "missing.csv", f"--shard={wrong}"]) == 2
    assert "--shard is K/N" in capsys.readouterr().err
