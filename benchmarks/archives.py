"""Archives of series with labelled anomalies, as they are scored online: the first part of each trains."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gatewise.metrics.detection import ranges
from gatewise.metrics.nab import Window, probation

GAP = 200  # steps within which one alarm follows from another


@dataclass(frozen=True)
class Watched:
    """One series of an archive.

    Attributes:
        name: In its archive.
        values: (n, D).
        windows: Its anomalies as (first step, last step).
        known: How many of its first steps train; they are not scored.
    """

    name: str
    values: np.ndarray
    windows: list[Window]
    known: int

    def truth(self) -> np.ndarray:
        """(n,) whether a step is an anomaly."""
        flags = np.zeros(len(self.values), bool)
        for first, last in self.windows:
            flags[first : last + 1] = True
        return flags


def nab_series(root: Path) -> dict[str, tuple[np.ndarray, list[Window]]]:
    """Per series its values (n,), and its anomalies' windows as steps."""
    labelled = json.loads((root / "nab/labels/combined_windows.json").read_text())
    found = {}
    for name in sorted(labelled):
        with gzip.open(root / f"nab/data/{name}.gz", "rt") as file:
            rows = list(csv.DictReader(file))
        step = {row["timestamp"]: number for number, row in enumerate(rows)}
        windows = [(step[start.split(".")[0]], step[end.split(".")[0]]) for start, end in labelled[name]]
        found[name.removesuffix(".csv")] = np.array([float(row["value"]) for row in rows]), windows
    return found


def nab(root: Path) -> list[Watched]:
    """The benchmark's own windows; its probation trains."""
    return [Watched(name, x[:, None], w, probation(len(x))) for name, (x, w) in nab_series(root).items()]


def skab(root: Path) -> list[Watched]:
    """The first 400 rows of each file train, as the archive has it."""
    found = []
    for path in sorted((root / "skab").glob("*/*.csv.gz")):
        if path.parent.name == "anomaly-free":
            continue
        with gzip.open(path, "rt") as file:
            rows = [row[1:] for row in csv.reader(file, delimiter=";")][1:]
        table = np.array(rows, np.float64)
        name = f"{path.parent.name}/{path.name.removesuffix('.csv.gz')}"
        found.append(Watched(name, table[:, :8], ranges(table[:, 8] > 0), 400))
    return found


def nasa(root: Path) -> list[Watched]:
    """The training file of each channel, and the test file behind it."""
    folder = root / "nasa_smap_msl"
    found = []
    with open(folder / "labeled_anomalies.csv") as file:
        for row in csv.DictReader(file):
            train, test = (_npy(folder / part / f"{row['chan_id']}.npy.gz") for part in ("train", "test"))
            before, last = len(train), len(train) + len(test) - 1
            places = sorted(json.loads(row["anomaly_sequences"]))
            windows = [(before + first, min(before + end, last)) for first, end in places]
            found.append(Watched(row["chan_id"], np.concatenate([train, test]), windows, before))
    return found


def _npy(path: Path) -> np.ndarray:
    return np.load(io.BytesIO(gzip.decompress(path.read_bytes()))).astype(np.float64)


def bleeding(root: Path) -> list[Watched]:
    found = []
    for path in sorted((root / "ucr_anomaly_bleeding").glob("*.txt.gz")):
        number, *_, known, first, last = path.name.removesuffix(".txt.gz").split("_")
        values = np.loadtxt(path).reshape(-1, 1)
        found.append(Watched(number, values, [(int(first), int(last))], int(known)))
    return found


def mgab(root: Path) -> list[Watched]:
    table = np.loadtxt(root / "mgab/1.csv.gz", delimiter=",", skiprows=1)
    return [Watched("1", table[:, 1:2], ranges(table[:, 2] > 0), 5000)]


def mba(root: Path) -> list[Watched]:
    table = np.loadtxt(root / "mba_ecg805/MBA_ECG805_data.out.gz", delimiter=",")
    return [Watched("805", table[:, :1], ranges(table[:, 1] > 0), 5000)]


def ucr_135(root: Path) -> list[Watched]:
    """As split: the training file, and the test file behind it."""
    train, test = (ucr_part(root, part) for part in ("TRAIN", "TEST"))
    table = np.concatenate([train, test])
    return [Watched("135", table[:, :1], ranges(table[:, 1] == 1), len(train))]


def ucr_part(root: Path, part: str) -> np.ndarray:
    path = root / f"ucr_anomaly_135/135_UCR_Anomaly_InternalBleeding16_{part}.csv"
    return np.loadtxt(path, delimiter=",", skiprows=1, usecols=(1, 2))


def after_training(series: Watched, scores: np.ndarray) -> tuple[np.ndarray, list[Window]]:
    """Scores and windows such that the probation of the benchmark's score is what trained."""
    after = len(scores) - series.known
    skipped = min(round(0.15 / 0.85 * after), 750)
    while probation(after + skipped) != skipped:
        skipped += 1 if probation(after + skipped) > skipped else -1
    first = series.known - skipped
    kept = [(max(start, series.known) - first, end - first) for start, end in series.windows if end >= series.known]
    return np.concatenate([np.full(skipped, scores.min()), scores[series.known :]]), kept


def reported(scores: np.ndarray, gap: int = GAP) -> np.ndarray:
    """Scores where they exceed all of the `gap` steps before them; elsewhere the least of all, so that no threshold but
    one that takes everything makes a detection of them."""
    kept = np.full(len(scores), scores.min())
    highest: deque[int] = deque()  # falling scores, the first of which is the highest of the last steps
    for step, score in enumerate(scores):
        while highest and highest[0] < step - gap:
            highest.popleft()
        if not highest or score > scores[highest[0]]:
            kept[step] = score
        while highest and scores[highest[-1]] <= score:
            highest.pop()
        highest.append(step)
    return kept
