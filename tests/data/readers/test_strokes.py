import zipfile

import numpy as np
import pytest
from shared_data import SHARED, needs_shared

from gatewise.data.readers.strokes import read_strokes, steps_of, vary_strokes
from gatewise.data.sources import Roles, kind_of, read
from gatewise.errors import DataError, OptionError

OMNIGLOT = SHARED / "omniglot_small1" / "strokes_background_small1.zip"
CROSS = "START\n0,-10,0\n0,-30,5\nBREAK\n-20,-20,9\n20,-20,12\nBREAK\n"
DOT = "START\n7,7,0\nBREAK\n"


def put(folder, **files):
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def archive(path, **files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(f"all/{name.replace('__', '/')}.txt", content)
        file.writestr("__MACOSX/all/._x.txt", b"\0")
        file.writestr("all/.hidden.txt", b"\0")
        file.writestr("all/read.me", b"\0")
    return path


def test_points_as_they_were_recorded(tmp_path):
    found = read_strokes(put(tmp_path, cross=CROSS) / "cross.txt", spacing=None)
    steps = np.stack([found.steps[name].values for name in ("x", "y", "dx", "dy", "up")], 1)
    by_hand = [  # the box is 40 wide and 20 high, around (0, -20)
        [0, 0.25, 0, 0, 0],
        [0, -0.25, 0, -0.5, 1],
        [-0.5, 0, -0.5, 0.25, 0],
        [0.5, 0, 1, 0, 1],
    ]
    np.testing.assert_allclose(steps, by_hand, atol=1e-7)


def test_steps_lie_evenly_along_each_stroke():
    turn = np.linspace(0, np.pi, 700) ** 1.5 / np.pi**0.5  # faster and faster
    half = np.stack([np.cos(turn), np.sin(turn)], 1)
    x, y, dx, dy, up = steps_of([half, half + np.array([0, 2])], 0.01).T
    apart = np.hypot(dx, dy)
    count = len(x) // 2
    np.testing.assert_allclose(apart[1:count], np.pi / 3 / (count - 1), rtol=1e-3)  # 3 high, so sides of 3
    assert count == round(np.pi / 3 / 0.01) + 1
    assert up.tolist() == ([0.0] * (count - 1) + [1.0]) * 2
    np.testing.assert_allclose([x[0], y[0], x[-1], y[-1]], [1 / 3, -0.5, -1 / 3, 1 / 6], atol=1e-6)


def test_a_dot_has_one_step(tmp_path):
    assert steps_of([np.array([[7.0, 7.0], [7.0, 7.0]])]).tolist() == [[0, 0, 0, 0, 1]]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "folder"])
def test_names_tell_labels_and_writers(tmp_path, zipped):
    files = {"Greek__alpha__1_02": CROSS, "Latin__a__1_01": DOT, "Latin__b__9_02": CROSS}
    found = read_strokes(archive(tmp_path / "a.zip", **files) if zipped else put(tmp_path / "all", **files))
    assert found.static["label"].strings() == ["Greek/alpha", "Latin/a", "Latin/b"]
    assert found.static["writer"].strings() == ["02", "01", "02"]
    assert found.lengths.tolist() == [11 + 21, 1, 11 + 21]
    named = read_strokes(tmp_path / ("a.zip" if zipped else "all"), label_from="{label}/{letter}/{n}_{hand}")
    assert named.static["label"].strings() == ["Greek", "Latin", "Latin"]
    assert named.static["hand"].strings() == ["02", "01", "02"]


def test_one_folder_has_no_labels(tmp_path):
    assert set(read_strokes(put(tmp_path, a=CROSS, b=DOT)).static) == {"file"}


def test_the_door_knows_strokes(tmp_path):
    files = {"up__a_1": CROSS, "down__b_2": DOT}
    folder, zipped = put(tmp_path / "all", **files), archive(tmp_path / "a.zip", **files)
    for source in (folder, zipped, folder / "up" / "a_1.txt"):
        assert set(read(source).steps) == {"x", "y", "dx", "dy", "up"}
    assert read(zipped, roles=Roles(label_from="{label}_{n}")).static["label"].strings() == ["b", "a"]
    (tmp_path / "poem.txt").write_text("START\nof a poem, and on\n")
    assert kind_of(tmp_path / "poem.txt") == "text"


def test_another_hand_draws_the_same_strokes(tmp_path):
    files = {f"up__a_{number}": CROSS for number in range(300)} | {"up__dot_1": DOT}
    data = read_strokes(put(tmp_path, **files))
    same = vary_strokes(data, np.random.default_rng(0), strength=0)
    for name, column in data.steps.items():
        np.testing.assert_allclose(same.steps[name].values, column.values, atol=1e-6)
    other = vary_strokes(data, np.random.default_rng(0))
    again = vary_strokes(data, np.random.default_rng(0))
    assert other.fingerprint() == again.fingerprint() != data.fingerprint()
    assert other.static is data.static
    np.testing.assert_array_equal(other.offsets, data.offsets)
    backwards = swapped = 0
    for before, after in zip(data, other, strict=True):
        x, y, dx, dy, up = (after.steps[name].values for name in ("x", "y", "dx", "dy", "up"))
        assert up.sum() == before.steps["up"].values.sum()
        assert max(np.ptp(x), np.ptp(y)) == pytest.approx(1, abs=1e-5) or len(x) == 1
        np.testing.assert_allclose([np.diff(x), np.diff(y)], [dx[1:], dy[1:]], atol=1e-6)
        if len(x) > 1:
            first = slice(0, int(up.argmax()) + 1)
            swapped += first.stop > 11  # the longer stroke comes first
            tall = np.ptp(y[first]) > np.ptp(x[first])
            backwards += bool(tall and y[0] < y[first.stop - 1])
    assert 10 < swapped < 60
    assert 10 < backwards < 60
    in_order = vary_strokes(data, np.random.default_rng(0), in_order=True)
    firsts = [one.steps["up"].values.argmax() for one in in_order]
    assert firsts == [one.steps["up"].values.argmax() for one in data]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1: nothing where a stroke file says START"),
        ("x,y\n1,2\n", "line 1: 'x,y' where"),
        ("START\n1,2,3\n", "cut short: its last line, 2, is not BREAK"),
        ("START\n", "cut short"),
        ("START\n1,2,3\nBREAK\nBREAK\n", "line 4: a BREAK without a point"),
        ("START\n1,2,3\n1,2\nBREAK\n", "line 3: '1,2' is not a point x,y,t"),
        ("START\n1,two,3\nBREAK\n", "line 2: '1,two,3' is not a point"),
        ("START\nnan,2,3\nBREAK\n", "line 2: the point 'nan,2,3' lies outside 1,000,000 units"),
        ("START\n1,-inf,3\nBREAK\n", "line 2: the point"),
    ],
    ids=str,
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, content, said):
    for source in (put(tmp_path, good=DOT, wrong=content), archive(tmp_path / "a.zip", good=DOT, wrong=content)):
        with pytest.raises(DataError) as error:
            read_strokes(source)
        assert "wrong.txt" in str(error.value)
        assert said in str(error.value)
        assert "\n" not in str(error.value)


def test_what_holds_no_strokes(tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no pen strokes"):
        read_strokes(tmp_path / "none")
    (tmp_path / "b.zip").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match=r"b\.zip' is not a zip file that can be read: File is not a zip file. Fetch"):
        read_strokes(tmp_path / "b.zip")
    whole = archive(tmp_path / "c.zip", a=CROSS * 400).read_bytes()
    (tmp_path / "c.zip").write_bytes(whole[:60] + bytes(30) + whole[90:])
    with pytest.raises(DataError, match=r"c\.zip' is not a zip file"):
        read_strokes(tmp_path / "c.zip")
    with pytest.raises(OptionError, match=r"must hold \{label\}"):
        read_strokes(tmp_path, label_from="{lable}")
    with pytest.raises(OptionError, match="spacing must be a number above 0, or None to keep all points, not 0"):
        read_strokes(tmp_path, spacing=0)


@needs_shared
def test_omniglot():
    found = read_strokes(OMNIGLOT)
    assert len(found) == 2720
    assert np.bincount(found.static["label"].values).tolist() == [20] * 136
    assert np.bincount(found.static["writer"].values).tolist() == [136] * 20
    assert found.static["label"].levels[0] == "Balinese/character01"
    x, up = found.steps["x"].values, found.steps["up"].values
    assert (np.abs(x).max(), up[found.offsets[1:] - 1].min()) == (0.5, 1.0)
