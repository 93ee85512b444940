import gzip
import math

import numpy as np
import pytest

from gatewise.data.readers.ts import read_ts

HEAD = "#comment\n@problemName Two\n@timeStamps {stamps}\n@missing true\n@classLabel true b a\n\n@data\n"


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        (tmp_path / "a.ts").write_text(text)
        return read_ts(tmp_path / "a.ts")

    return write_and_read


def test_dimensions_are_channels_and_lengths_may_differ(read):
    sequences = read(HEAD.format(stamps="false") + "1,2,?:-1e2, 4 ,NaN:a\n\n% between\n5:6:b\n7:8:?\n")
    assert sequences.offsets.tolist() == [0, 3, 4, 5]
    values = sequences.steps["channels"].values
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [[1, -100], [2, 4], [math.nan, math.nan], [5, 6], [7, 8]])
    assert sequences.static["label"].levels == ("b", "a")  # as the header orders them
    assert sequences.static["label"].strings() == ["a", "b", None]
    assert sequences.lines.tolist() == [8, 8, 8, 11, 12]


def test_a_target_is_a_number_and_no_label_is_none(read):
    sequences = read("@targetLabel true\n@data\n1,2:0.25\n3:?\n")
    np.testing.assert_array_equal(sequences.static["label"].values, np.float32([0.25, math.nan]))
    assert read("@classLabel false\n@data\n1,2\n").static == {}


def test_times_are_numbers_or_dates(read):
    numbers = read(HEAD.format(stamps="true") + "(0,1),(0.5,?):(0,3),(0.5,4):a\n(2,9):(2,8):b\n")
    np.testing.assert_array_equal(numbers.steps["channels"].values, [[1, 3], [math.nan, 4], [9, 8]])
    assert numbers.steps["time"].values.tolist() == [0, 0.5, 2]
    dates = read(HEAD.format(stamps="true") + "(2024-03-01 10:30:00,1),(2024-03-01T12:00:00+01:00,2):b\n")
    assert dates.steps["time"].kind == "time"
    assert dates.steps["time"].values.astype(str).tolist() == [
        "2024-03-01T10:30:00.000000",
        "2024-03-01T11:00:00.000000",
    ]
    assert dates.static["label"].strings() == ["b"]


@pytest.mark.parametrize(
    ("problem", "cases", "channels", "classes", "lengths"),
    [  # what the archive's own description says of them
        ("JapaneseVowels", (270, 370), 12, 9, (7, 29)),
        ("BasicMotions", (40, 40), 6, 4, (100, 100)),
        ("ArrowHead", (36, 175), 1, 3, (251, 251)),
        ("GunPoint", (50, 150), 1, 2, (150, 150)),
        ("ItalyPowerDemand", (67, 1029), 1, 2, (24, 24)),
        ("OSULeaf", (200, 242), 1, 6, (427, 427)),
        ("PickupGestureWiimoteZ", (50, 50), 1, 10, (29, 361)),
    ],
)
def test_the_archive(shared, problem, cases, channels, classes, lengths):
    parts = [read_ts(shared / "ucr_uea" / problem / f"{problem}_{part}.ts.gz") for part in ("TRAIN", "TEST")]
    assert tuple(map(len, parts)) == cases
    both = np.concatenate([part.lengths for part in parts])
    assert (both.min(), both.max()) == lengths
    for part in parts:
        assert part.steps["channels"].values.shape[1] == channels
        assert len(part.static["label"].levels) == classes == len(set(part.static["label"].values))
    with gzip.open(shared / "ucr_uea" / problem / f"{problem}_TEST.ts.gz", "rt") as file:
        *_, last = (line for line in file if line.strip())
    assert last.split(",")[0] == last.split(":")[0].split(",")[0]
    first_of_last = parts[1].steps["channels"].values[parts[1].offsets[-2]]
    np.testing.assert_array_equal(
        first_of_last, [np.float32(part.split(",")[0]) for part in last.strip().split(":")[:-1]]
    )
