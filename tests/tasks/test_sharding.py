"""`predict --shard`: what all shards write is what one run writes, to the byte, in whatever order."""

import pytest
from test_scoring import KEYS, SMALL, detector, table, transcriber

import gatewise
from gatewise.cli import main

MANY = [*KEYS, *(f"pump {number}" for number in range(40))]


def tagger():
    options = {"bidirectional": True, "crf": True, "share": 0.5}
    return gatewise.Tagger(**SMALL, **options, target="mode").fit(table(steps=60))


def forecaster(**options):
    target = ("flow", "heat") if options.get("mode") is None else "flow"
    covariates = {"past_covariates": ("mode",)} if options.get("mode") is None else {}
    sizes = {"horizon": 3, "context_length": 12, "samples": 20}
    return gatewise.Forecaster(**SMALL, **sizes, target=target, **covariates, **options).fit(table(steps=300))


def classifier(**options):
    rows = table(keys=[f"{kind}{number}" for number in range(30) for kind in "ab"], steps=12)
    rows["kind"] = rows["pump"].str[0]
    return gatewise.Classifier(**SMALL, target="kind", **options).fit(rows)


MODELS = {
    "detect": detector,
    "tag": tagger,
    "transcribe": transcriber,
    "forecast": lambda: forecaster(share=0.5),
    "forecast counts": lambda: forecaster(share=0.5, head="student-t"),
    "forecast paths": lambda: forecaster(share=0.5, mode="autoregressive", head="gaussian"),
    "classify": lambda: classifier(share=0.5),
    "classify plain": lambda: classifier(only="plain"),
}


def lines_of(path):
    header, *lines = path.read_text().splitlines()
    return header, lines


@pytest.mark.parametrize("name", MODELS)
def test_the_union_of_the_shards_is_the_whole(name, tmp_path):
    model = MODELS[name]()
    model.save(tmp_path / "model.gatewise")
    rows = table(keys=MANY, steps=30, seed=9)
    rows.to_parquet(tmp_path / "rows.parquet")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    command = ["predict", str(tmp_path / "model.gatewise"), str(tmp_path / "rows.csv"), "-o"]
    assert main([*command, str(tmp_path / "whole.csv")]) == 0
    header, whole = lines_of(tmp_path / "whole.csv")
    found, sizes = [], []
    for number in (1, 2, 3):
        path = tmp_path / f"{number}.csv"
        assert main([*command, str(path), "--shard", f"{number}/3"]) == 0
        own, lines = lines_of(path)
        assert own == header
        found += lines
        sizes.append(len(lines))
    assert sorted(found) == sorted(whole)
    assert min(sizes) > 0.15 * len(whole)
