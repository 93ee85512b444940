"""Fits a small model of each task and explains one row of it: docs/pages/TASK.json, which the site draws as pages.

python website/reports.py [TASK ...]
"""

from __future__ import annotations

import random
import shlex
import shutil
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
from PIL import Image
from tutorials import DOCS, FOLDER, run

from gatewise.data.datasets.scenes import scenes

REPORTS = {  # task -> what is fitted with which options, and what is asked: small, for all of it is in the repository
    "classify": (
        "doors.csv --target door --hidden-size 16 --embedding-size 8 --no-bidirectional --epochs 20",
        "doors.csv --row 3",
    ),
    "tag": (
        "doors.conll --hidden-size 16 --embedding-size 8 --no-bidirectional --epochs 8",
        "--text 'unlock badge dog unlock rain lock wind unlock' --step 7",
    ),
    "generate": (
        "python.txt --hidden-size 40 --epochs 12",
        "--text 'The value of the attribute is retur'",
    ),
    "translate": (
        "dates.txt dates.iso --hidden-size 32 --epochs 15",
        "--text 'the fifth of april 2031' --step 6",
    ),
    "transcribe": ("recordings --hidden-size 16 --epochs 40", "recordings --row 1 --step 1"),
    "caption": (
        "photos --captions captions.txt --hidden-size 16 --embedding-size 16 --epochs 30",
        "photos --row 1 --step 2",
    ),
    "forecast": (
        "sales.csv --key shop --time day --target sold --future-covariates promotion --horizon 14 --hidden-size 16 "
        "--epochs 10",
        "coming.csv --row 0 --horizon 6",
    ),
    "detect": ("normal.csv --time minute --hidden-size 8 --epochs 3", "machine.csv --step 5221"),
}
PITCHES = dict(zip("abcde", (440, 620, 880, 1240, 1760), strict=True))  # of the letters that are heard, in Hz
RATE = 8000  # samples a second


def write_recordings(folder: Path) -> None:
    """Words of three letters, each letter a tone of its own, of any length and with noise around it."""
    folder.mkdir()
    draw, noise = random.Random(4), np.random.default_rng(4)
    for number in range(400):
        word = "".join(draw.choices(list(PITCHES), k=3))
        tones = [np.zeros(draw.randint(400, 1200))]
        for letter in word:
            time = np.arange(draw.randint(700, 1400)) / RATE
            tones += [9000 * np.sin(2 * np.pi * PITCHES[letter] * time), np.zeros(draw.randint(300, 900))]
        sound = np.concatenate(tones)
        with wave.open(str(folder / f"{number:03}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((sound + noise.normal(0, 300, len(sound))).astype("<i2").tobytes())
        (folder / f"{number:03}.txt").write_text(word, encoding="utf-8")


def write_photos(folder: Path) -> None:
    """photos/, captions.txt: drawn scenes of two things, and what can be seen in them."""
    found, lines = scenes(600, seed=5, references=2), []
    (folder / "photos").mkdir()
    for number in range(len(found)):
        name = f"{number:03}.png"
        Image.fromarray(found.values[number]).save(folder / "photos" / name)
        lines += [f"{name}#{place}\t{caption}" for place, caption in enumerate(found.captions[number])]
    (folder / "captions.txt").write_text("\n".join(lines), encoding="utf-8")


def report(task: str, folder: Path) -> None:
    """Fit the model of a task in a folder that has the data, and write the report on its row."""
    fitted, asked = map(shlex.split, REPORTS[task])
    gatewise, model, file = [sys.executable, "-m", "gatewise"], f"{task}.gatewise", f"{task}.json"
    print(run([*gatewise, "fit", task, *fitted, "-o", model, "--force"], folder))
    print(run([*gatewise, "explain", model, *asked, "-o", file, "--force"], folder))
    shutil.copyfile(folder / file, DOCS / "pages" / file)


def main(tasks: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run([sys.executable, str(FOLDER / "examples.py")], place)
        write_recordings(place / "recordings")
        write_photos(place)
        for task in tasks or REPORTS:
            report(task, place)


if __name__ == "__main__":
    main(sys.argv[1:])
