"""Sound files: folders and archives of WAV and FLAC become log-mel sequences with labels from their names."""

from __future__ import annotations

import io
import math
import os
import tarfile
import wave
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np

from ...errors import DataError, MissingExtra, OptionError
from ..log_mel import LogMel, levelled, resample
from ..sequences import Column, Sequences, offsets_of, text_column
from .file_names import columns_of, folder_or_prefix, pattern_of
from .files import NamedFile, Source, Unpacking, name_of, named_files, read_bytes

SUFFIXES = (".wav", ".flac")
ARCHIVES = (".tar", ".tar.gz", ".tgz")
HIGHEST_RATE = 16_000  # hertz, in which all of speech fits
SLOWEST = 100  # how many times the rate of a file may be lower than the one it is brought to
MOST_PHASES = 1_000_000
LOUDEST = 2.0**32  # floats should lie in -1 to 1; some programs write the range of 16 or 32 bits


def read_audio(
    source: Source | Sequence[Source],
    settings: LogMel | None = None,
    label_from: str | None = None,
    labelled: bool = True,
) -> Sequences:
    """Sound files as sequences of log-mel frames.

    Channels are averaged and every clip is resampled to the settings' rate.

    Args:
        source: A WAV or FLAC file, a folder with such files anywhere in it, a .tar or .tar.gz of them, or several of
            these. Hidden files and files of other kinds are passed over.
        settings: Of the features; None takes `settings_for(source)`. A trained model gives those it was trained with.
        label_from: Where labels stand in names without suffix, such as "{label}_{speaker}_{index}". Each name in
            braces becomes a static column of that name and takes as few characters as fit; a pattern with / covers
            folders. None: the folder a file lies in, if all lie in sub-folders and not all in one; else what stands
            before the first _ of its name, and if no name has one, there are no labels.
        labelled: Whether names are asked for labels at all.

    Returns:
        Per step: `log_mel`, (steps, M) float32. Per sequence: `file`, text; `label`, a category, if there are any;
        and what else `label_from` names.

    Raises:
        DataError: names the file that is damaged, cut short, empty, not sound, or whose name does not fit.
        MissingExtra: a FLAC file, and `soundfile` is not installed. WAV with whole numbers as samples needs nothing.
        OptionError: a pattern without {label}.
    """
    if label_from is not None:
        pattern_of(label_from)  # a wrong one should show before a thousand files are read
    data = read_sounds(source, settings)
    if not labelled:
        return data
    names = [str(name) for name in data.static["file"].values]
    labels = folder_or_prefix(names) if label_from is None else columns_of(names, label_from)
    return replace(data, static={**data.static, **labels})


def read_sounds(source: Source | Sequence[Source], settings: LogMel | None = None) -> Sequences:
    """The same without labels."""
    settings = settings or settings_for(source)
    names: list[str] = []
    features: list[np.ndarray] = []
    for name, place, raw in _clips(source):
        signal, rate = _decode(raw, place)
        _check_rate(rate, settings.sample_rate, place)
        names.append(name)
        features.append(settings(resample(signal.mean(axis=1), rate, settings.sample_rate)))
    return Sequences(
        offsets_of(map(len, features)),
        {"log_mel": Column("log_mel", "number", np.concatenate(features))},
        {"file": text_column("file", names)},
        name_of(source) if isinstance(source, str | os.PathLike) else ", ".join(map(name_of, source)),
    )


def level_recordings(data: Sequences) -> Sequences:
    """The same recordings, each without its level and the silence around it; see `log_mel.levelled`."""
    values = data.steps["log_mel"].values
    ends = zip(data.offsets[:-1], data.offsets[1:], strict=True)
    found = [levelled(values[start:end]) if end > start else values[start:end] for start, end in ends]
    column = replace(data.steps["log_mel"], values=np.concatenate([values[:0], *found]))
    return replace(data, offsets=offsets_of(map(len, found)), steps={"log_mel": column}, lines=None)


def settings_for(source: Source | Sequence[Source]) -> LogMel:
    """Features at the lowest sample rate among the files, for a lower one leaves upper bands without content; but at
    most 16 kHz. The errors are those of `read_audio`."""
    rate, place = min((_rate(raw, place), place) for _, place, raw in _clips(source))
    try:
        return LogMel(min(rate, HIGHEST_RATE))
    except OptionError:  # about bands and windows that nobody has asked for
        raise DataError(f"{place} has {rate} samples per second, too few to hear anything. Leave it out.") from None


def _clips(source: Source | Sequence[Source]) -> Iterator[NamedFile]:
    return named_files(source, SUFFIXES, ARCHIVES, _unpacked, "sound")


def _unpacked(archive: Path) -> Iterator[NamedFile]:
    """Sound files in an archive, sorted by name like those of a folder."""
    place, raw = name_of(archive), read_bytes(archive)
    unpacking = Unpacking(place, len(raw))
    try:
        with tarfile.open(fileobj=io.BytesIO(raw)) as file:
            held = {}
            for member in file:
                hidden = any(part.startswith(".") and part != ".." for part in PurePosixPath(member.name).parts)
                if hidden or not member.name.lower().endswith(SUFFIXES):
                    continue
                try:
                    content = file.extractfile(member)
                except (KeyError, RecursionError):
                    raise DataError(
                        f"{place}, {member.name} is a link to '{member.linkname}', behind which the archive holds no "
                        "file. Unpack it yourself, or leave the link out."
                    ) from None
                if content:
                    held[member.name] = unpacking.read(content)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        reason = str(error).split(":")[0]  # behind it stands, in several lines, why each compression does not fit
        raise DataError(
            f"{place} is not a complete tar file: {reason}. Unpack it yourself, or fetch it again."
        ) from None
    for name in sorted(held, key=lambda name: PurePosixPath(name).parts):
        yield name, f"{place}, {name}", held[name]


def _soundfile() -> ModuleType | None:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: installed, but without its library
        return None
    return soundfile


def _rate(raw: bytes, place: str) -> int:
    """Samples per second, from a file's head."""
    library = _soundfile()
    try:
        if library:
            return library.info(io.BytesIO(raw)).samplerate
        with _wave(raw, place) as file:
            return file.getframerate()
    except (wave.Error, EOFError, RuntimeError) as error:
        raise _damaged(place, error) from None


def _check_rate(rate: int, new_rate: int, place: str) -> None:
    """Refuse what takes gigabytes to resample: far fewer samples than are wanted, or a filter of millions of phases."""
    if rate * SLOWEST < new_rate or max(rate, new_rate) // math.gcd(rate, new_rate) > MOST_PHASES:
        raise DataError(
            f"{place} has {rate} samples per second, of which no {new_rate} can be made. Leave it out, or convert it."
        )


def _decode(raw: bytes, place: str) -> tuple[np.ndarray, int]:
    """(T, channels) float32 in -1 to 1, and the sample rate."""
    promised = 8 + int.from_bytes(raw[4:8], "little")
    # A program that writes to a pipe cannot know the size, and leaves 0 or the largest number.
    if raw[:4] == b"RIFF" and 8 < promised < 2**32 and promised > len(raw) + 1:
        raise DataError(f"{place} is cut short: its head promises {promised} bytes, but there are {len(raw)}.")
    library = _soundfile()
    try:
        if library:
            with library.SoundFile(io.BytesIO(raw)) as file:
                rate, frames = file.samplerate, file.frames
                signal = _blocks(file, Unpacking(place, len(raw)))
        else:
            with _wave(raw, place) as file:
                rate, frames = file.getframerate(), file.getnframes()
                signal = _samples(file.readframes(frames), file.getsampwidth()).reshape(-1, file.getnchannels())
    except (wave.Error, EOFError, RuntimeError) as error:
        raise _damaged(place, error) from None
    if len(signal) < frames:
        raise DataError(f"{place} is cut short: its head promises {frames} samples, but there are {len(signal)}.")
    if not len(signal):
        raise DataError(f"{place} holds no samples. Leave it out.")
    impossible = ~(np.abs(signal) < LOUDEST)  # true of NaN
    if impossible.any():
        sample, channel = np.argwhere(impossible)[0]
        raise DataError(f"{place}: sample {sample} is {signal[sample, channel]}. Fix it, or leave the file out.")
    return signal, rate


def _blocks(file: Any, unpacking: Unpacking) -> np.ndarray:
    """All samples, block by block: how many its head promises is not to be believed."""
    found = [np.empty((0, file.channels), np.float32)]
    while len(block := file.read(1 << 18, dtype="float32", always_2d=True)):
        unpacking.take(block.nbytes)
        found.append(block)
    return np.concatenate(found)


def _wave(raw: bytes, place: str) -> wave.Wave_read:
    """Opens WAV without `soundfile`."""
    if raw[:4] == b"fLaC":
        raise MissingExtra("soundfile", "audio")
    try:
        return wave.open(io.BytesIO(raw))
    except wave.Error as error:
        if "unknown format" in str(error):  # compressed, or samples that are not whole numbers
            raise MissingExtra("soundfile", "audio") from None
        raise


def _samples(raw: bytes, width: int) -> np.ndarray:
    """(values,) float32 of little-endian PCM of 1 to 4 bytes, scaled as libsndfile scales it."""
    if width == 1:
        return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / 128
    if width == 3:
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return (np.frombuffer(raw, f"<i{width}") / 2.0 ** (8 * width - 1)).astype(np.float32)


def _damaged(place: str, error: Exception) -> DataError:
    reason = str(error).rsplit(": ", 1)[-1].rstrip(".") or "it ends too early"
    return DataError(f"{place} is not a sound file that can be read: {reason}. Leave it out, or fetch it again.")
