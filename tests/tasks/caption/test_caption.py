"""`Captioner`: captions of images, clips and features, and where its decoder looks."""

import signal

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy

from gatewise import bundle, cells
from gatewise.cli import main
from gatewise.data.paired.captions import from_arrays
from gatewise.decoding import Decoding
from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.tasks import Captioner
from gatewise.tasks.attention_decoder import Steps
from gatewise.tasks.caption.baselines import most_frequent, nearest
from gatewise.tasks.caption.batches import Pictures, frames
from gatewise.tasks.caption.network import CaptionNetwork, Convolutions, Eye

SMALL = {"channels": 16, "embedding_size": 16, "hidden_size": 24, "batch_size": 8, "dropout": 0.0}
COLOURS = {"red": (220, 20, 30), "green": (20, 200, 40), "blue": (30, 40, 230)}


def lamps(count, seed=0):
    """A coloured square in the upper or lower half of a dark image, told in two ways."""
    draw = np.random.default_rng(seed)
    images, captions = draw.integers(0, 30, (count, 8, 8, 3)).astype(np.uint8), []
    for image in images:
        name, low = draw.choice(list(COLOURS)), draw.random() < 0.5
        y, x = (4 if low else 0) + draw.integers(0, 2), draw.integers(0, 6)
        image[y : y + 3, x : x + 3] = COLOURS[name]
        place = "bottom" if low else "top"
        captions.append([f"a {name} lamp at the {place}", f"at the {place} there is a {name} lamp"])
    return from_arrays(images, captions)


def walkers(count, seed=0):
    """A dot that goes left or right from the middle, over four to six frames."""
    draw = np.random.default_rng(seed)
    clips, captions = [], []
    for _ in range(count):
        length, way = int(draw.integers(4, 7)), int(draw.choice([-1, 1]))
        clip = np.zeros((length, 6, 12), np.uint8)
        y, x = draw.integers(1, 5), int(draw.integers(5, 7))
        for step in range(length):
            clip[step, y, x + way * min(step, 5)] = 255
        clips.append(clip if draw.random() < 0.5 else np.concatenate([clip[:1], clip]))
        captions.append(f"it goes {'right' if way > 0 else 'left'}")
    return from_arrays(clips, captions)


@pytest.fixture(scope="module")
def lit():
    return Captioner(seed=1, epochs=12, learning_rate=0.01, **SMALL).fit(lamps(160))


def test_what_is_where_is_learned_and_measured(lit):
    assert set(lit.metrics_) == {"train", "validation", "test", "baselines", "signatures"}
    new = lit.evaluate(lamps(60, seed=9))
    assert new["all"]["exact_match"] > 0.95
    assert new["all"]["bleu"] > 90
    assert new["all"]["images"] == 60
    assert new["baselines"]["most frequent"]["exact_match"] < 0.5
    assert set(lit.metrics_["baselines"]) == {"most frequent", "nearest image"}
    assert "nrefs:2" in new["signatures"]["bleu"]
    assert "exact match" in lit.report(lit.metrics_)
    assert lit.score(lamps(20, seed=3)) > 90


def test_words_are_those_of_the_captions(lit):
    """Beside the two special ones; what parts the captions is none of them, and takes no place of the limit."""
    words = {word for captions in lamps(160).captions for caption in captions for word in caption.split()}
    assert lit.vocabulary_.words[:2] == ("<pad>", "<unk>")
    assert sorted(lit.vocabulary_.words[2:]) == sorted(words)


def test_the_training_data_is_cut_as_it_was(lit):
    assert lit.evaluate(lamps(160)) == lit.metrics_
    short = lit.evaluate(lamps(160), decoding=Decoding(max_length=1))
    assert short["test"]["chrf"] < lit.metrics_["test"]["chrf"]


def test_it_looks_at_the_lamp_where_it_tells_its_colour(lit):
    """More than half of the attention at the colour's word falls on the half of the image that the lamp is in."""
    data = lamps(20, seed=5)
    halves = []
    for found, captions in zip(lit._written(data, None), data.captions, strict=True):
        ids = found[0].tokens.tolist()
        colour = next(name for name in COLOURS if name in captions[0])
        weights = found[0].attention[ids.index(int(lit.vocabulary_.encode(colour)[0]))].reshape(8, 8)
        assert weights.sum() == pytest.approx(1, abs=1e-5)
        halves.append(weights[4:].sum() if "bottom" in captions[0] else weights[:4].sum())
    assert np.mean(halves) > 0.5


def test_what_needs_time_is_learned_from_clips():
    captioner = Captioner(seed=1, epochs=10, learning_rate=0.01, **SMALL).fit(walkers(100))
    new = walkers(40, seed=7)
    assert captioner.evaluate(new)["all"]["exact_match"] > 0.9
    assert captioner.predict(new)[:6] == [captioner.predict(new.take([i]))[0] for i in range(6)]


def test_features_are_learned_from():
    """Which of three values is large at some place is what is said."""
    draw = np.random.default_rng(0)
    which = draw.integers(0, 3, 160)
    x = draw.normal(0, 0.3, (160, 4, 3)).astype(np.float32)
    x[np.arange(160), draw.integers(0, 4, 160), which] += 3
    said = [f"the {list(COLOURS)[k]} one" for k in which]
    captioner = Captioner(inputs="features", epochs=10, learning_rate=0.01, **SMALL).fit(x, said)
    assert captioner.metrics_["test"]["exact_match"] > 0.9
    assert captioner.predict(x[:3]) == said[:3]


def test_together_as_alone(lit):
    """To the last bit: images side by side, and each of them alone."""
    data = lamps(12, seed=6)
    for i, [best, *_] in enumerate(lit._written(data, None)):
        [[alone, *_]] = lit._written(data.take([i]), None)
        assert alone.tokens.tolist() == best.tokens.tolist()
        assert alone.log_probability == best.log_probability


def test_numbers_of_another_range_are_refused(lit, tmp_path):
    """An image as floats from 0 to 1 would be all black to a captioner of images that count to 255."""
    lit.save(tmp_path / "model")
    for captioner in (lit, Captioner.load(tmp_path / "model")):
        with pytest.raises(DataError, match=r"8 x 8 x 3 \(float32\), but .* on images of 8 x 8 x 3 \(uint8\)\. Bring"):
            captioner.predict((lamps(2).values / 255).astype(np.float32))
    data = lamps(8)
    with pytest.raises(DataError, match=r"\(float32\), but .* \(uint8\)"):
        Captioner(**SMALL).fit(data, validation=(data.values / 255, list(data.captions)))


def test_captions_are_as_long_as_asked_for_and_never_empty(lit, tmp_path):
    x = lamps(4, seed=2).values
    assert lit.predict(x, Decoding(beam_size=5)) == lit.predict(x)
    for options, least, most in (
        (Decoding(min_length=50, max_length=60), 50, 60),
        (Decoding(min_length=40), 40, 40),
        (Decoding(max_length=1), 1, 1),
    ):
        lengths = [len(found[0].tokens) for found in lit._written(from_arrays(x), options)]
        assert least <= min(lengths)
        assert max(lengths) <= most
    lit.save(tmp_path / "model")
    silent = Captioner.load(tmp_path / "model")
    silent.model_.output.bias.data[silent._edges[1]] += 1000
    for options in (None, Decoding(), Decoding(sampling=True)):
        assert [len(said.split()) for said in silent.predict(x, options)] == [1] * 4


def test_validation_beside_arrays_is_a_pair():
    data, other = lamps(20), lamps(6, seed=4)
    pair = (other.values, list(other.captions))
    captioner = Captioner(epochs=1, **SMALL).fit(data.values, list(data.captions), validation=pair)
    assert captioner.metrics_["train"]["images"] == 20
    assert captioner.metrics_["validation"] == captioner.evaluate(*pair)["all"]


def test_tables_of_predictions(lit):
    data = lamps(5, seed=2)
    [table] = lit.predictions(data, decoding=Decoding(beam_size=4, n_best=2))
    assert table["image"] == [str(i) for i in range(5) for _ in range(2)]
    assert table["caption"][::2] == lit.predict(data, Decoding(beam_size=4))
    assert (table["score"][::2] >= table["score"][1::2]).all()


def network(inputs, shape, cell="lstm", layers=1, **options):
    torch.manual_seed(0)
    mean, std = torch.zeros(shape[-1]), torch.ones(shape[-1])
    eye = Eye(inputs, shape, mean, std, 6, cells.find(cell), 8)
    sizes = {"vocabulary_size": 9, "embedding_size": 5, "hidden_size": 8, "num_layers": layers}
    return CaptionNetwork(cells.find(cell), eye, 6, **sizes, **options).eval()


def test_the_eye_is_that_of_torchs_layers():
    """Of a clip, against torch.nn.LSTM over the maps and plain loops."""
    eye = network("clips", (6, 10, 1)).eye
    data = from_arrays([np.random.default_rng(k).random((t, 6, 10)) for k, t in enumerate((3, 1, 2))])
    batch = frames(data, np.arange(3))
    places, lengths = eye(**batch)
    P = int(np.prod(eye.map))
    assert lengths.tolist() == [3 * P, P, 2 * P]
    lstm = torch.nn.LSTM(6 * P, 8)
    lstm.load_state_dict(eye.time.state_dict())
    for row in range(3):
        own = torch.from_numpy(data.take([row]).values).movedim(-1, 1)
        maps = (eye.frame(own) + eye.places).flatten(2)
        story = lstm(maps.flatten(1)[:, None])[0][:, 0]
        wanted = (maps + eye.told(story)[..., None]).transpose(1, 2).flatten(0, 1)
        torch.testing.assert_close(places[: lengths[row], row], wanted, rtol=1e-4, atol=1e-5)


def test_maps_are_about_eight_places_wide():
    for side, wide in ((8, 8), (12, 6), (28, 7), (32, 8), (64, 8), (100, 7)):
        with torch.device("meta"):
            assert Convolutions(3, side, 32)(torch.empty(2, 3, side, side)).shape == (2, 32, wide, wide)


@pytest.mark.parametrize(("inputs", "cell"), [("images", "lstm"), ("clips", "gru"), ("features", "mlstm")])
def test_word_by_word_is_the_same_as_all_at_once(inputs, cell):
    """Scores of a given caption by `Steps`, against the loss that training sees."""
    draw = np.random.default_rng(0)
    x = {"images": (3, 9, 8, 2), "clips": (3, 2, 9, 8, 2), "features": (3, 4, 5)}[inputs]
    data = from_arrays(draw.random(x), None, inputs)
    model = network(inputs, data.shape, cell, layers=1 if cell == "mlstm" else 2)
    tokens = [[np.array([1, 2, 3]), np.array([4])], [], [np.array([5, 6])]]
    batch = Pictures(data, tokens, 7, 8, batch_size=3).at(0)
    assert batch["rows"].tolist() == [0, 0, 1]
    assert batch["targets"].T.tolist() == [[1, 2, 3, 8], [4, 8, -1, -1], [5, 6, 8, -1]]
    with torch.no_grad():
        loss, count = model.validation_sums(batch)
        total = torch.tensor(0.0)
        for image, captions in enumerate(tokens):
            for caption in captions:
                step = Steps(model, frames(data, np.array([image])))
                for before, wanted in zip([7, *caption], [*caption, 8], strict=True):
                    log_p, _ = step(np.array([before]), np.array([0]))
                    total += cross_entropy(torch.from_numpy(log_p), torch.tensor([wanted]))
    assert count == 9
    torch.testing.assert_close(loss, total, rtol=1e-5, atol=1e-5)


def test_every_pass_has_one_caption_of_each_image():
    data = from_arrays(np.zeros((7, 4, 4)))
    tokens = [[np.array([10 * i + k]) for k in range(i % 3)] for i in range(7)]  # none of the first, one of the next
    batches = Pictures(data, tokens, 90, 91, batch_size=2, seed=3)
    assert len(batches) == 2 + 1 - 1
    passes = [[int(t) for place in range(2) for t in batches.at(2 * n + place)["targets"][0]] for n in range(6)]
    for seen in passes:
        assert sorted(token // 10 for token in seen) == [1, 2, 4, 5]
    assert len({tuple(seen) for seen in passes}) > 3
    assert len({token for seen in passes for token in seen}) == 6
    assert torch.equal(batches.at(1)["targets"], Pictures(data, tokens, 90, 91, 2, seed=3).at(1)["targets"])


def test_the_nearest_image_is_that_of_plain_loops():
    draw = np.random.default_rng(0)
    train = from_arrays(draw.random((20, 5, 5)), [f"image {i}" for i in range(20)])
    data = from_arrays(draw.random((9, 5, 5)))
    for image, said in zip(data.values, nearest(data, train), strict=True):
        distances = [float(np.square(image - other).sum()) for other in train.values]
        assert said == f"image {int(np.argmin(distances))}"
    assert most_frequent([["a", "a", "a"], ["b", "c"], ["c", "b"]]) == "b"


def test_saved_and_loaded_it_says_the_same(lit, tmp_path):
    lit.save(tmp_path / "model")
    loaded = Captioner.load(tmp_path / "model")
    assert loaded.predict(lamps(20, seed=8)) == lit.predict(lamps(20, seed=8))
    assert loaded.evaluate(lamps(160)) == lit.metrics_
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document["inputs"]["mean"].pop(),
        lambda document: document["inputs"].update(kind="sounds"),
        lambda document: document["inputs"].update(numbers="int64"),
        lambda document: document["inputs"].update(shape=[16, 8, 3]),
        lambda document: document["inputs"].update(std=[0.0, 1.0, 1.0]),
        lambda document: document["vocabulary"]["words"].pop(),
        lambda document: document["sizes"].update(channels=-1),
        lambda document: document.pop("longest"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(lit, tmp_path, damage):
    lit.save(tmp_path / "model")
    found = bundle.load(tmp_path / "model")
    damage(found.document)
    bundle.save(tmp_path / "broken", found.document, found.tensors)
    with pytest.raises((ModelFileError, OptionError)):
        Captioner.load(tmp_path / "broken")


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    data, options = lamps(40), {**SMALL, "epochs": 4, "dropout": 0.2}

    class Stops:
        """Progress that a user interrupts at the sixth step."""

        def __getattr__(self, name):
            return lambda *_: None

        def step(self, step, loss):
            if step == 6:
                signal.raise_signal(signal.SIGINT)

    whole = Captioner(**options).fit(data)
    stopped = Captioner(**options).fit(data, output=tmp_path / "model", progress=lambda *_: Stops())
    assert stopped.outcome_.reason == "interrupted"
    assert Captioner.load(tmp_path / "model").predict(data)
    resumed = Captioner(**options).fit(data, output=tmp_path / "model", resume=True)
    for name, weight in whole.model_.state_dict().items():
        assert torch.equal(weight, resumed.model_.state_dict()[name]), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "channels must be a whole number, 1 or more"),
        ({"image_size": 4}, "image_size must be a whole number, 8 or more"),
        ({"inputs": "image"}, "'image'. Did you mean 'images'"),
        ({"vocabulary_size": 2}, "vocabulary_size must be a whole number, 3 or more"),
        ({"cell": "lstn"}, "no cell named 'lstn'"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(OptionError) as caught:
        Captioner(**options).fit(lamps(10))
    assert message in str(caught.value)


def test_data_that_nothing_can_be_learned_from(lit, tmp_path):
    images = lamps(10).values
    with pytest.raises(DataError, match="has no captions to learn from"):
        Captioner().fit(images)
    with pytest.raises(OptionError, match="captions goes with a folder of images"):
        Captioner().fit(images, ["a"] * 10, captions="captions.txt")
    with pytest.raises(OptionError, match="y goes with arrays"):
        Captioner().fit(lamps(10), ["a"] * 10)
    with pytest.raises(
        DataError,
        match=r"holds images of 8 x 9 x 3 \(uint8\), but this captioner was trained on images of 8 x 8 x 3 \(uint8\)",
    ):
        lit.predict(np.zeros((2, 8, 9, 3), np.uint8))
    with pytest.raises(DataError, match="has no captions to measure by"):
        lit.evaluate(images)
    with pytest.raises(OptionError, match="learned nothing yet"):
        Captioner().predict(images)


# The command line, on a folder in Flickr8k's layout.


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
    with pytest.raises(DataError, match=r"has no captions to measure by"):
        lit.evaluate("Images/3.png")
    with pytest.raises(OptionError, match=r"inputs='features' goes with arrays and .npz files, not with images"):
        Captioner(inputs="features").fit("Images/3.png")


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


@pytest.mark.parametrize("data", ["images", "clips", "features"])
def test_pictures_of_where_it_looked(data, tmp_path, lit):
    if data == "images":
        captioner, x = lit, lamps(1)
    else:
        x = walkers(6) if data == "clips" else from_arrays(np.ones((6, 3, 2)), ["a b"] * 6, "features")
        captioner = Captioner(inputs=data, epochs=1, **SMALL).fit(x)
    captioner.plot(x, tmp_path / "look.png")
    with Image.open(tmp_path / "look.png") as picture:
        assert picture.size[0] > 200
