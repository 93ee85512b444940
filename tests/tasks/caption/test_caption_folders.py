"""Captions of a folder of images in Flickr8k's layout, on the command line too."""

import pytest
from caption_examples import SMALL, lamps
from PIL import Image

from gatewise.cli import main
from gatewise.errors import DataError, OptionError
from gatewise.tasks import Captioner


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Images").mkdir()
    data = lamps(12)
    lines = []
    for image, captions, name in zip(data.values, data.captions, data.names, strict=True):
        Image.fromarray(image).save(tmp_path / "Images" / f"{name}.png")
        lines += [f"{name}.png#{k}\t{caption}" for k, caption in enumerate(captions)]
    (tmp_path / "captions.txt").write_text("\n".join(lines))
    for name, numbers in (("train", range(8)), ("dev", range(8, 10)), ("test", range(10, 12))):
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{number}.png" for number in numbers))
    return tmp_path


def test_a_folder_is_learned_from_and_captioned(folder, capsys):
    tiny = [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    reading = ["--captions", "captions.txt", "--lists", "train.txt,dev.txt,test.txt"]
    sizes = ["--epochs", "1", "--image-size", "8", *tiny]
    assert main(["fit", "caption", "Images", *reading, "-o", "m", "-q", *sizes]) == 0
    trained = capsys.readouterr().out
    assert "nearest image (baseline)" in trained
    assert main(["evaluate", "m", "Images", *reading]) == 0
    assert capsys.readouterr().out.splitlines()[:6] == trained.splitlines()[:6]
    assert main(["evaluate", "m", "Images", "--captions", "captions.txt", "--lists", "test.txt"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("all ")
    assert main(["predict", "m", "Images", "-o", "out.csv", "--plot", "look.svg", "--beam-size", "2"]) == 0
    rows = (folder / "out.csv").read_text().splitlines()
    assert rows[0] == "image,caption,score"
    assert [row.partition(",")[0] for row in rows[1:]] == sorted(f"{number}.png" for number in range(12))
    assert "<svg" in (folder / "look.svg").read_text()
    capsys.readouterr()
    assert main(["info", "m"]) == 0
    assert "caption" in capsys.readouterr().out


def test_one_image_is_captioned(folder, lit):
    [said] = lit.predict("Images/3.png")
    assert said == lit.predict(lamps(12).take([3]))[0]
    [table] = lit.predictions(folder / "Images" / "3.png")
    assert (table["image"], table["caption"]) == (["3.png"], [said])
    with pytest.raises(DataError, match=r"there is no folder or file 'Images/none.png'"):
        lit.predict("Images/none.png")
    with pytest.raises(DataError, match=r"has no captions to evaluate against"):
        lit.evaluate("Images/3.png")
    with pytest.raises(OptionError, match=r"inputs='features' goes with arrays and .npz files, not with images"):
        Captioner(inputs="features").fit("Images/3.png")


def test_what_an_earlier_fit_read_does_not_matter(folder):
    captioner = Captioner(image_size=8, epochs=1, **SMALL).fit("Images", captions="captions.txt")
    said = captioner.predict("Images")
    with pytest.raises(DataError, match="has no captions to learn from"):
        captioner.fit("Images")
    assert captioner.predict("Images") == said
    captioner.set_params(image_size=12).fit("Images", captions="captions.txt")
    assert captioner.inputs_.shape == (12, 12, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "caption", "Images"], "Images has no captions to learn from"),
        (
            ["fit", "caption", "Image", "--captions", "captions.txt"],
            "there is no folder or file 'Image'",
        ),
        (["fit", "caption", "Images", "--captions", "none.txt"], "none.txt"),
        (
            ["fit", "caption", "Images", "--captions", "captions.txt", "--lists", "train.txt,train.txt"],
            "'0.png' is in two",
        ),
    ],
)
def test_mistakes_are_told_on_one_line(folder, capsys, words, message):
    before = sorted(path.name for path in folder.iterdir())
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert message in told
    assert sorted(path.name for path in folder.iterdir()) == before
