"""Images, clips and features with captions: in memory, in folders, in files."""

import json

import numpy as np
import pytest
from PIL import Image

from gatewise.data.paired.caption_files import names_in, read_arrays, read_captions, read_folder, read_names
from gatewise.data.paired.captions import from_arrays
from gatewise.errors import DataError, OptionError

COLOURS = {"red.png": (200, 10, 20), "green.png": (10, 180, 30), "blue.png": (0, 40, 220)}


@pytest.fixture
def flickr(tmp_path):
    """Flickr8k's layout: images, a file of captions, lists of names."""
    folder = tmp_path / "Images"
    folder.mkdir()
    for number, (name, colour) in enumerate(COLOURS.items()):
        Image.new("RGB", (40 + 10 * number, 30), colour).save(folder / name)
    lines = [f"{name}#{k}\t{'A' if k else 'One'} {name[:-4]} picture ." for name in COLOURS for k in range(3)]
    (tmp_path / "captions.txt").write_text("\n".join(lines))
    (tmp_path / "train.txt").write_text("blue.png\nred.png\n")
    return tmp_path


def test_flickrs_layout_is_read(flickr):
    captions = read_captions(flickr / "captions.txt")
    assert captions["green.png"] == ["One green picture .", "A green picture .", "A green picture ."]
    data = read_folder(flickr / "Images", read_names(flickr / "train.txt"), captions, (8, 12))
    assert (data.inputs, data.names, len(data)) == ("images", ("blue.png", "red.png"), 2)
    assert data.captions[1][0] == "One red picture ."
    assert data.values.shape == (2, 8, 12, 3)
    for image, colour in zip(data.values, ((0, 40, 220), (200, 10, 20)), strict=True):
        assert (image == np.array(colour)).all()
    assert names_in(flickr / "Images") == ["blue.png", "green.png", "red.png"]


def test_flickrs_own_captions_are_read(shared):
    folder = shared / "flickr8k_captions"
    captions = read_captions(folder / "Flickr8k.token.txt.gz")
    assert len(captions) == 8092
    assert {len(some) for some in captions.values()} == {5}
    train = read_names(folder / "Flickr_8k.trainImages.txt.gz")
    assert len(train) == 6000
    assert set(train) < set(captions)


def test_captions_are_read_from_tables(tmp_path):
    wanted = {"a.png": ["a dog, black", "one dog"], "b.png": ["two cats"]}
    (tmp_path / "one.csv").write_text('image,caption\na.png,"a dog, black"\na.png,one dog\nb.png,two cats\n')
    (tmp_path / "two.tsv").write_text("what\twords\na.png\ta dog, black\na.png\tone dog\nb.png\ttwo cats\n")
    rows = [{"file_name": name, "captions": some, "id": 1} for name, some in wanted.items()]
    (tmp_path / "three.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name in ("one.csv", "two.tsv", "three.jsonl"):
        assert read_captions(tmp_path / name) == wanted


def test_cells_of_tables_are_texts_as_written(tmp_path):
    """Names that look like numbers or dates are those of files, and captions may look like them too."""
    wanted = {"001": ["0042"], "05-04-2020": ["7.0"], "NA": ["[1]"]}
    (tmp_path / "a.csv").write_text("clip,caption\n001,0042\n05-04-2020,7.0\nNA,[1]\n")
    assert read_captions(tmp_path / "a.csv") == wanted
    rows = [{"clip": "05-04-2020", "captions": ["05-04-2020", '"ten" [a]']}, {"clip": "06-04-2020", "captions": ["1"]}]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_captions(tmp_path / "b.jsonl") == {row["clip"]: row["captions"] for row in rows}
    (tmp_path / "c.jsonl").write_text('{"clip": "1", "caption": "12:30"}\n{"clip": "2", "caption": "[a] or b"}\n')
    assert read_captions(tmp_path / "c.jsonl") == {"1": ["12:30"], "2": ["[a] or b"]}


def test_files_of_captions_are_refused_by_line(tmp_path):
    (tmp_path / "a.txt").write_text("a.png#0\ta dog\nb.png#0 a cat\n")
    with pytest.raises(DataError, match=r"a\.txt', line 2: no caption"):
        read_captions(tmp_path / "a.txt")
    (tmp_path / "b.csv").write_text("image,caption\na.png,a dog\n,a cat\n")
    with pytest.raises(DataError, match=r"b\.csv'?, row 2: no name of an image"):
        read_captions(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text("one,two,three\n1,2,3\n")
    with pytest.raises(DataError, match="no columns 'image' and 'caption', but one, two, three"):
        read_captions(tmp_path / "c.csv")
    (tmp_path / "d.txt").write_text("\n\n")
    with pytest.raises(DataError, match="names no image"):
        read_names(tmp_path / "d.txt")


SAID = {
    "a b.jpg": ["A red square, and a circle .", 'He said "no", then left'],
    "2.png": ['"there is a circle, blue"', "x"],
}


def rows_of(said):
    return [(image, number, text) for image, texts in said.items() for number, text in enumerate(texts)]


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


LAYOUTS = {
    "flickr.token.txt": (lambda i, n, t: f"{i}#{n}\t{t}", ""),
    "kaggle.txt": (lambda i, n, t: f"{i},{quoted(t) if t[0] == chr(34) else t}", "image,caption"),
    "quoted.txt": (lambda i, n, t: f"{i},{quoted(t)}", "image,caption"),
    "no-head.txt": (lambda i, n, t: f"{i},{quoted(t)}", ""),
    "tab-head.txt": (lambda i, n, t: f"{i}\t{t}", "image\tcaption"),
    "kaggle.csv": (lambda i, n, t: f"{i},{quoted(t) if t[0] == chr(34) else t}", "image,caption"),
    "numbered.csv": (lambda i, n, t: f"{i}#{n},{n},{quoted(t)}", "image_name,number,comment"),
    "results.csv": (lambda i, n, t: f"{i}| {n}| {t}", "image_name| comment_number| comment"),
    "lines.jsonl": (lambda i, n, t: json.dumps({"image": i, "caption": t}), ""),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_captions_as_people_have_them(tmp_path, name):
    write, head = LAYOUTS[name]
    lines = [*([head] if head else []), *(write(*row) for row in rows_of(SAID))]
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    assert read_captions(tmp_path / name) == SAID


def test_captions_in_json(tmp_path):
    coco = {
        "info": {"year": 2014},
        "images": [{"id": i, "file_name": image, "height": 8} for i, image in enumerate([*SAID, "silent.jpg"], 7)],
        "annotations": [
            {"id": 9 * n, "image_id": 7 + list(SAID).index(image), "caption": text + "\n"}
            for n, (image, _, text) in enumerate(rows_of(SAID))
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    assert read_captions(tmp_path / "coco.json") == SAID
    held = [
        {"filename": image, "split": "train", "sentences": [{"raw": t} for t in texts]} for image, texts in SAID.items()
    ]
    (tmp_path / "flickr.json").write_text(json.dumps({"images": held, "dataset": "flickr8k"}))
    assert read_captions(tmp_path / "flickr.json") == SAID
    (tmp_path / "list.json").write_text(
        json.dumps([{"image": image, "captions": texts} for image, texts in SAID.items()])
    )
    assert read_captions(tmp_path / "list.json") == SAID
    for broken, message in (
        ({**coco, "images": coco["images"][:1]}, "annotation 2 of image 8: no name of an image"),
        ({**coco, "annotations": {"a": 1}}, "its 'annotations' are no list of captions"),
        ({**coco, "annotations": [{"image_id": 7}]}, "annotation 0 of image 7: no caption"),
        ({**coco, "annotations": []}, "holds no caption"),
    ):
        (tmp_path / "coco.json").write_text(json.dumps(broken))
        with pytest.raises(DataError, match=message) as caught:
            read_captions(tmp_path / "coco.json")
        assert len(str(caught.value)) < 300
    (tmp_path / "a.csv").write_text('image,caption\na.png,"open\nb.png,x\n')
    with pytest.raises(DataError, match="its quotes do not match"):
        read_captions(tmp_path / "a.csv")


def test_images_that_are_missing_or_silent_are_named(flickr):
    captions = read_captions(flickr / "captions.txt")
    with pytest.raises(DataError, match=r"'pink\.png' is not in '.*Images'\. Add them"):
        read_folder(flickr / "Images", ["pink.png"], None, (8, 8))
    with pytest.raises(DataError, match=r"'pink\.png' is not in '.*Images', nor are 2 others that are named"):
        read_folder(flickr / "Images", ["red.png", "pink.png", "a.png", "b/c.png"], None, (8, 8))
    with pytest.raises(DataError, match=r"'pink\.png' has no caption"):
        read_folder(flickr / "Images", ["red.png", "pink.png"], captions, (8, 8))
    (flickr / "Images" / "red.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"red\.png"):
        read_folder(flickr / "Images", ["red.png"], captions, (8, 8))
    (flickr / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        names_in(flickr / "empty")


def test_folders_of_frames_are_clips(tmp_path):
    for clip, levels in (("long", (10, 20, 30)), ("short", (40, 50))):
        (tmp_path / clip).mkdir()
        for number, level in enumerate(levels):
            Image.new("L", (8, 8), level).save(tmp_path / clip / f"{number}.png")
    assert names_in(tmp_path) == ["long", "short"]
    data = read_folder(tmp_path, ["short", "long"], None, (8, 8))
    assert data.inputs == "clips"
    assert data.offsets.tolist() == [0, 2, 5]
    assert data.values[:, 0, 0, 0].tolist() == [40, 50, 10, 20, 30]
    assert data.take([1]).values[:, 0, 0, 0].tolist() == [10, 20, 30]
    with pytest.raises(DataError, match="is a clip, where images are expected"):
        read_folder(tmp_path, ["short"], None, (8, 8), clips=False)


def test_hidden_folders_are_no_clips(flickr):
    (flickr / "Images" / ".thumbnails").mkdir()
    Image.new("L", (8, 8)).save(flickr / "Images" / ".thumbnails" / "red.png")
    assert names_in(flickr / "Images") == ["blue.png", "green.png", "red.png"]


@pytest.mark.parametrize(
    ("shape", "inputs", "kept", "frames"),
    [
        ((5, 8, 9), None, "images", (5, 8, 9, 1)),
        ((5, 8, 9, 3), None, "images", (5, 8, 9, 3)),
        ((5, 4, 8, 9), None, "clips", (20, 8, 9, 1)),
        ((5, 4, 8, 9, 3), None, "clips", (20, 8, 9, 3)),
        ((5, 8, 9), "features", "features", (5, 8, 9)),
        ((5, 8, 9, 4), "clips", "clips", (40, 9, 4, 1)),
    ],
)
def test_arrays_are_what_their_shapes_say(shape, inputs, kept, frames):
    x = np.arange(np.prod(shape)).reshape(shape).astype(np.float32)
    data = from_arrays(x, ["said"] * 5, inputs)
    assert (data.inputs, data.values.shape, len(data)) == (kept, frames, 5)
    assert np.array_equal(data.values.ravel(), x.ravel())
    assert data.captions == (("said",),) * 5


def test_clips_may_differ_in_length():
    clips = [np.full((length, 6, 6), length, np.uint8) for length in (2, 5)]
    data = from_arrays(clips, [["a", " b  c "], "d"])
    assert data.lengths.tolist() == [2, 5]
    assert data.captions == (("a", "b c"), ("d",))
    assert data.values.dtype == np.uint8
    assert data.take([1, 0]).lengths.tolist() == [5, 2]


@pytest.mark.parametrize(
    ("x", "captions", "inputs", "said"),
    [
        (np.zeros((2, 8)), None, None, r"the shape \(2, 8\) is none of"),
        (np.zeros((2, 8, 8)), ["a"], None, "there are 2 inputs, but captions for 1"),
        (np.zeros((2, 8, 8)), ["a", 3], None, "number 1: 3 is not a caption"),
        (np.zeros((2, 8, 8)), "ab", None, "'ab' is not a list of captions"),
        (np.zeros((2, 8, 8)), np.array("ab"), None, "'ab' is not a list of captions"),
        (np.zeros((2, 8, 8)), 5, None, "5 is not a list of captions"),
        ([[[1, 2], [3]]], None, None, "clip 0: rows of different lengths"),
        (np.zeros((2, 8, 8)), None, "clips", r"clips have the shape .*, not \(2, 8, 8\)"),
        (np.full((2, 8, 8), np.nan), None, None, "number 0 holds NaN"),
        (np.array([["a"]]), None, None, "numbers are needed"),
        (np.zeros((2, 2, 2)), None, None, "of 2 x 2 pixels"),
        (np.zeros((0, 8, 8)), None, None, "there are no images"),
        ([np.zeros((2, 8, 8)), np.zeros((2, 9, 8))], None, None, "clip 1: frames of"),
        ([np.zeros(3)], None, None, "clip 0: a clip has the shape"),
    ],
)
def test_what_does_not_fit_is_refused(x, captions, inputs, said):
    with pytest.raises(DataError, match=said):
        from_arrays(x, captions, inputs)


def test_an_unknown_kind_of_inputs_is_refused():
    with pytest.raises(OptionError, match=r"'image'\. Did you mean 'images'"):
        from_arrays(np.zeros((2, 8, 8)), None, "image")


def test_features_come_from_files(tmp_path):
    x = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    np.savez(tmp_path / "f.npz", x=x, captions=np.array([["a b", "c"], ["d", ""], ["e", "f"]]), names=["p", "q", "r"])
    data = read_arrays(tmp_path / "f.npz", "features")
    assert data.captions == (("a b", "c"), ("d",), ("e", "f"))
    assert data.names == ("p", "q", "r")
    assert np.array_equal(data.values, x)
    np.savez(tmp_path / "g.npz", x=x, y=x)
    with pytest.raises(DataError, match=r"holds 'y'\. The names it may have: x, captions, names"):
        read_arrays(tmp_path / "g.npz")
    (tmp_path / "h.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not a NumPy file"):
        read_arrays(tmp_path / "h.npy")


def test_a_fingerprint_sees_everything():
    x = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8)
    prints = {
        from_arrays(x, ["a", "b"]).fingerprint(),
        from_arrays(x, ["a", "c"]).fingerprint(),
        from_arrays(x[::-1], ["a", "b"]).fingerprint(),
        from_arrays(x, ["a", "b"], names=["p", "q"]).fingerprint(),
        from_arrays(x, ["a", "b"], "features").fingerprint(),
    }
    assert len(prints) == 5
    assert from_arrays(x, ["a", "b"], name="other").fingerprint() in prints
