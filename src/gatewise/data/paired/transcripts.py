"""Recordings, and images of lines, with their transcripts: a folder with texts beside its files, or a table of both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import DataError, suggest
from ..log_mel import LogMel
from ..readers import audio, images
from ..readers.files import files_in, is_folder, name_of, read_lines, read_text
from ..readers.table_files import is_several, table_files
from ..sequences import Sequences, category_column, text_column
from ..sources import describe_source, refuse_query
from ..tables.schema import ANY_CSV, CSVFormat
from ..tables.session import RELATION, identifier, source_name
from ..tables.table import open_table

FILE, TEXT = "file", "text"  # the columns of a table that names files
FOLDER = "folder"  # where a file lies, as a column of its own
LISTED = ".trans.txt"  # LibriSpeech: a line for each recording of the folder, its name and its text
_MEDIA = {"sound": audio.SUFFIXES, "images": images.SUFFIXES}

# Name within the source; path; text, None where there is none; and the values of further columns.
Named = list[tuple[str, Path, str | None, tuple[str | None, ...]]]


def read_transcripts(
    source: Any,
    target: str = TEXT,
    *,
    query: str | None = None,
    encoding: str = "utf-8",
    csv: CSVFormat = ANY_CSV,
    texts: bool = True,
    columns: Sequence[str] = (),
    sound: LogMel | None = None,
    height: int | None = None,
) -> tuple[Sequences, LogMel | None]:
    """Sound or images of lines, and their texts; and how sound was read.

    Args:
        source: A folder with WAV and FLAC files, or image files, anywhere in it: what NAME.wav says stands in NAME.txt
            beside it, or in a file of lines `NAME text` whose own name ends in .trans.txt, as LibriSpeech has them. Or
            a table with a column `file`, of paths from where the table lies (in a database: from the working folder),
            and a column of texts; cells of CSV files are taken as they are written. Or a single sound or image file.
        target: The column of texts, and what they are called in what is returned.
        query: SQL whose result is the table, as for `table.open_table`.
        encoding: Of all text.
        csv: How a CSV file is written.
        texts: Whether there must be a text for every file; otherwise none is looked for.
        columns: Further columns of the table, such as the speaker; of a folder, "folder" is the one a file lies in.
        sound, height: How a trained model reads sound and images; None: what suits the files.

    Returns:
        Per step `log_mel` or `pixels`, see `audio` and `images`. Per sequence `file` and its text, runs of white space
        in it as one space.

    Raises:
        DataError: A file is damaged or has no text, or the source names none; the message says which.
        OptionError: A query is given for what is not a table.
    """
    found = _listed(source, target, query, encoding, csv, texts, columns)
    if not found:
        raise DataError(f"{source_name(source)} names no file. Give at least one.")
    paths = [path for _, path, _, _ in found]
    if _medium(found) == "sound":
        sound = sound or audio.settings_for(paths)
        data = audio.read_sounds(paths, sound)
    else:
        sound, data = None, images.read_line_images(paths, height)
    static = {FILE: text_column(FILE, [name for name, *_ in found])}
    static |= {name: category_column(name, [more[place] for *_, more in found]) for place, name in enumerate(columns)}
    if texts:
        static[target] = text_column(
            target, [None if transcript is None else " ".join(transcript.split()) for _, _, transcript, _ in found]
        )
    return replace(data, static=static, name=source_name(source)), sound


def media_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The sound or image files anywhere in a folder."""
    return [file for file in files_in(folder) if _kind(file.name)]


def holds_sound(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a sound file, or an archive that may hold some, or a folder with either."""
    files = files_in(path) if os.path.isdir(path) else [Path(path)]
    return any(file.name.lower().endswith(audio.SUFFIXES + audio.ARCHIVES) for file in files)


def is_media(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a sound or image file, or a folder with some."""
    if os.path.isdir(path):
        return bool(media_files(path))
    return _kind(os.fspath(path)) is not None


def _kind(name: str) -> str | None:
    """ "sound" or "images" by the suffix of a file; None if it is neither."""
    return next((kind for kind, suffixes in _MEDIA.items() if name.lower().endswith(suffixes)), None)


def _medium(found: Named) -> str:
    """What the files are. DataError if they are of both kinds, or of neither."""
    kinds: dict[str, str] = {}
    for name, *_ in found:
        kind = _kind(name)
        if kind is None:
            known = ", ".join(suffix for suffixes in _MEDIA.values() for suffix in suffixes)
            raise DataError(f"'{name}' is neither sound nor an image. Files must end in {known}.")
        kinds.setdefault(kind, name)
    if len(kinds) > 1:
        raise DataError(f"'{kinds['sound']}' is sound, but '{kinds['images']}' an image. Give one kind at a time.")
    return next(iter(kinds))


def _listed(
    source: Any,
    target: str,
    query: str | None,
    encoding: str,
    csv: CSVFormat,
    texts: bool,
    columns: Sequence[str],
) -> Named:
    if _is_local(source) and not is_several(source):
        if is_folder(source):
            refuse_query(query, describe_source(source))
            return _in_folder(Path(source), encoding, texts, columns)
        if is_media(source):
            refuse_query(query, describe_source(source))
            if texts:
                raise DataError(f"{name_of(source)} is a single file. Give a folder, or a table of files and texts.")
            return [(Path(source).name, Path(source), None, ())]
    return _in_table(source, target, query, encoding, csv, texts, columns)


def _is_local(source: Any) -> bool:
    """Whether it is a path, rather than a URL or a table."""
    return isinstance(source, str | os.PathLike) and "://" not in os.fspath(source)


def _in_folder(folder: Path, encoding: str, texts: bool, columns: Sequence[str]) -> Named:
    if other := next((name for name in columns if name != FOLDER), None):
        raise DataError(
            f"{name_of(folder)} is a folder, whose files have no column '{other}'. '{FOLDER}' is the folder that a "
            "file lies in; or name the files, their texts and more in a table"
        )
    files = list(files_in(folder))
    known: dict[Path, str] = {}
    for page in (file for file in files if texts and file.name.endswith(LISTED)):
        place, lines = read_lines(page, encoding)
        for number, line in enumerate(lines, 1):
            name, _, rest = line.strip().partition(" ")
            if name and not rest:
                raise DataError(f"{place}, line {number}: no text after '{name}'. Each line is a name and a text.")
            known[page.parent / name] = rest
    found: Named = []
    for file in (file for file in files if _kind(file.name)):
        transcript: str | None = known.get(file.with_suffix(""))
        page = file.with_suffix(".txt")
        if texts and transcript is None:
            if not page.is_file():
                raise DataError(
                    f"there is no text for {name_of(file)}: neither '{page.name}' beside it nor a line in a file "
                    f"*{LISTED}. Write it, or name the files and their texts in a table."
                )
            transcript = read_text(page, encoding) if page.stat().st_size else ""
        within = file.relative_to(folder)
        found.append((within.as_posix(), file, transcript, (within.parent.as_posix(),) * len(columns)))
    return found


def _in_table(
    source: Any,
    target: str,
    query: str | None,
    encoding: str,
    csv: CSVFormat,
    texts: bool,
    columns: Sequence[str],
) -> Named:
    several = table_files(source) if is_several(source) else [source] if _is_local(source) else []
    base = Path(os.path.commonpath([Path(one).absolute().parent for one in several]) if several else "")
    csv = csv.over(CSVFormat(header=True))
    with open_table(source, query, csv=csv, encoding=encoding, as_written=True) as table:
        for column in [FILE, target] if texts else [FILE]:
            _check(table.name, column, table.columns)
        transcript = f"{identifier(target)}::VARCHAR" if texts else "NULL"
        more = "".join(f", {identifier(table.check(name))}::VARCHAR" for name in columns)
        rows = table.session.rows(f"SELECT trim({FILE}::VARCHAR), {transcript}{more} FROM {RELATION}")
    found: Named = []
    for number, (file, transcript, *values) in enumerate(rows, 1):
        if not file:
            raise DataError(f"{source_name(source)}, row {number}: no file is named. Fill it in, or leave the row out.")
        found.append((file, base / file, transcript, tuple(values)))
    return found


def _check(name: str, column: str, columns: Iterable[str]) -> None:
    if column not in columns:
        what = "names the sound or image of each row" if column == FILE else "says what each file holds"
        raise DataError(f"{name}: {suggest('column', column, columns)} It {what}.")
