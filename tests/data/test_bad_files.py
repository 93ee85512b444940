"""Damaged and mistaken files: each is refused in one line that says where, what, and the way out."""

import io
import tarfile
import wave
from functools import partial

import numpy as np
import pytest
import soundfile

from gatewise.data.readers.arrays import read_arrays
from gatewise.data.readers.audio import read_audio
from gatewise.data.readers.conll import read_conll
from gatewise.data.readers.labelled_text import read_labelled_text
from gatewise.data.readers.ts import read_ts
from gatewise.errors import DataError


def ts(*cases, head="@classLabel true a b"):
    return "\n".join([head, "@data", *cases]).encode()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def wav(samples=800, cut=0):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(0).bytes(2 * samples))
    return buffer.getvalue()[: -cut or None]


def sound(values, kind, subtype):
    buffer = io.BytesIO()
    soundfile.write(buffer, values, 8000, format=kind, subtype=subtype)
    return buffer.getvalue()


def tar(**members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, raw in members.items():
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(raw)
            file.addfile(member, io.BytesIO(raw))
    return buffer.getvalue()


STAMPS = "@timeStamps true\n@classLabel true a b"
WORD = "{}\tw\tw\tX\t_\t_\t0\troot\t_\t_\n"
POEM = "\n".join(f"{word} goes on and on" for word in "abcdefghijklmnopqrstuvwxyz").encode()

BAD = {  # name: reader, file name, contents, what the message holds besides the name
    "ts no data": (read_ts, "a.ts", b"@problemName X\n", ["has no line @data"]),
    "ts no case": (read_ts, "a.ts", ts(), ["no case after @data"]),
    "ts a table": (read_ts, "a.ts", b"1,2,3\n4,5,6\n", ["line 1: '1,2,3' stands before @data"]),
    "ts directive": (
        read_ts,
        "a.ts",
        b"@clasLabel true a\n@data\n",
        ["line 1", "'claslabel'. Did you mean 'classlabel'"],
    ),
    "ts flag": (read_ts, "a.ts", b"@missing maybe\n@data\n", ["line 1: @missing is 'maybe'", "true or false"]),
    "ts number": (read_ts, "a.ts", b"#\n@dimensions 0\n@data\n", ["line 2: @dimensions is '0'", "above 0"]),
    "ts no class named": (read_ts, "a.ts", b"@classLabel true\n@data\n", ["line 1: @classLabel true names no class"]),
    "ts class twice": (read_ts, "a.ts", b"@classLabel true 1 1\n@data\n", ["line 1", "names one class twice"]),
    "ts value": (
        read_ts,
        "a.ts",
        ts("1,2:a", "1,2,x3:3,4,5:b"),
        ["line 4, dimension 1, value 3: 'x3' is not a number", "?"],
    ),
    "ts empty value": (read_ts, "a.ts", ts("1,,2:a"), ["line 3, dimension 1, value 2: '' is not a number"]),
    "ts infinite": (read_ts, "a.ts", ts("1,2:3,inf:a"), ["line 3, dimension 2, value 2: inf is outside"]),
    "ts class": (read_ts, "a.ts", ts("1,2:a", "", "1,2:c"), ["line 5: no class named 'c'. Known: a, b", "@classLabel"]),
    "ts no label": (read_ts, "a.ts", ts("1,2"), ["line 3: no label after '1,2'"]),
    "ts target": (read_ts, "a.ts", ts("1:x", head="@targetLabel true"), ["line 3: the target 'x' is not a number"]),
    "ts dimensions": (read_ts, "a.ts", ts("1:2:a", "1:a"), ["line 4 has 1 dimensions, but should have 2"]),
    "ts univariate": (
        read_ts,
        "a.ts",
        ts("1:2", head="@univariate true"),
        ["line 3 has 2 dimensions", "@classLabel right"],
    ),
    "ts ragged case": (read_ts, "a.ts", ts("1,2:1,2,3:a"), ["line 3, dimension 2 has 3 values, but dimension 1 has 2"]),
    "ts length": (
        read_ts,
        "a.ts",
        ts("1,2", "1", head="@equalLength true\n@seriesLength 2"),
        ["line 5 has 1 values per dimension, not 2 as @equalLength"],
    ),
    "ts stamp missing": (read_ts, "a.ts", ts("1,2:a", head=STAMPS), ["line 4, dimension 1: '12' is not (time,value)"]),
    "ts stamp": (
        read_ts,
        "a.ts",
        ts("(0,1),(x,2):a", head=STAMPS),
        ["line 4, value 2: 'x' is not a number, as the first time is"],
    ),
    "ts date": (read_ts, "a.ts", ts("(soon,2):a", head=STAMPS), ["line 4, value 1: 'soon' is not a time", "ISO date"]),
    "ts stamps fall": (
        read_ts,
        "a.ts",
        ts("(5,1),(3,2):a", head=STAMPS),
        ["line 4, value 2: time 3 does not come after 5"],
    ),
    "ts stamps differ": (
        read_ts,
        "a.ts",
        ts("(0,1),(1,2):(0,1),(2,2):a", head=STAMPS),
        ["line 4, dimension 2, value 2: time 2, but 1 in dimension 1"],
    ),
    "ts stamps mixed": (
        read_ts,
        "a.ts",
        ts("(0,1):a", "(2024-01-01,1):a", head=STAMPS),
        ["line 5: dates and numbers as times"],
    ),
    "ts encoding": (read_ts, "a.ts", b"# caf\xe9\n@data\n1", ["is not utf-8", "offset 5", "--encoding latin-1"]),
    "conll columns": (
        read_conll,
        "a.conll",
        b"a\tO\nb\n",
        ["line 2: 1 column separated by tabs", "first line has 2: 'b'"],
    ),
    "conll spaces": (
        read_conll,
        "a.conll",
        b"a O\n\nb c O\n",
        ["line 3: 3 columns separated by spaces", "has 2: 'b c O'"],
    ),
    "conll no token": (read_conll, "a.conll", b"a\tO\n\tO\n", ["line 2, column 1: nothing in it"]),
    "conll no label": (read_conll, "a.conll", b"a\tO\nb\t\n", ["line 2, column 2: nothing"]),
    "conll nothing": (read_conll, "a.conll", b"# only\n\n-DOCSTART- O\n", ["no sentence"]),
    "conll transition": (
        read_conll,
        "a.conll",
        b"a B-x\nb I-x\n\nc I-x\nd B-y\n",
        ["line 4: I-x at the start of a sequence is illegal in BIO", "--repair"],
    ),
    "conll prefix": (read_conll, "a.conll", b"a B-x\nb I-x\nc X-x\nd O\n", ["line 3: 'X-x' is not a label of BIO"]),
    "conll second step": (
        read_conll,
        "a.bmes",
        "中 B-L\n\n国 E-L\n".encode(),
        ["line 1: B-L at the end of a sequence is illegal in BIOES", "There are 1 more"],
    ),
    "npy header": (
        read_arrays,
        "a.npy",
        npy(np.ones((2, 3))).replace(b"}", b")"),
        ["not a NumPy file"],
    ),
    "wav loud": (read_audio, "a.wav", sound([0, 1e20], "WAV", "FLOAT"), ["sample 1 is 1"]),
    "conll bmes": (
        read_conll,
        "a.bmes",
        "中 B-L\n国 M-L\n。 O\n".encode(),
        ["line 3: O after M-L is illegal in BMES"],
    ),
    "conllu columns": (
        read_conll,
        "a.conllu",
        b"1\tw\tX\n",
        ["line 1: 3 columns separated by tabs, but CoNLL-U has 10"],
    ),
    "conllu id": (
        read_conll,
        "a.txt",
        (WORD.format(1) + WORD.format(3)).encode(),
        ["line 2, column 1: id '3' where 2 was expected"],
    ),
    "conllu no blank line": (
        read_conll,
        "a.conllu",
        (WORD.format(1) + WORD.format(2) + WORD.format(1)).encode(),
        ["line 3, column 1: id '1' where 3 was expected", "blank line"],
    ),
    "conllu id word": (read_conll, "a.conllu", WORD.format("x").encode(), ["line 1, column 1: id 'x' where 1"]),
    "text no text": (read_labelled_text, "a.txt", b"1 fine\n0\n", ["line 2: no text after the label: '0'", "a space"]),
    "text no tab": (
        read_labelled_text,
        "a.txt",
        b"1\tfine\n0 bad\n",
        ["line 2: no text after the label: '0 bad'", "a tab"],
    ),
    "text fasttext": (
        read_labelled_text,
        "a.txt",
        b"__label__a x\n\nb y\n",
        ["line 3: 'b y' does not open with __label__"],
    ),
    "text fasttext no text": (read_labelled_text, "a.txt", b"__label__a\n", ["line 1: no text after the label"]),
    "text fasttext no name": (read_labelled_text, "a.txt", b"__label__ x y\n", ["line 1: no label: '__label__ x y'"]),
    "text blank": (read_labelled_text, "a.txt", b"\n \n", ["only blank lines"]),
    "text a poem": (
        read_labelled_text,
        "a.txt",
        POEM,
        ["26 of 26 lines open with a label that no other line has", "'a'"],
    ),
    "npy objects": (read_arrays, "a.npy", npy(np.array([{}, []], object)), ["holds Python objects"]),
    "npy cut": (read_arrays, "a.npy", npy(np.ones((3, 4)))[:-8], ["not a NumPy file"]),
    "npy text": (read_arrays, "a.npy", b"1,2,3\n", ["not a NumPy file", "does not begin as one"]),
    "npy shape": (read_arrays, "a.npy", npy(np.ones(3)), ["x has the shape (3,), but must be (N, T) or (N, T, C)"]),
    "npy infinite": (
        read_arrays,
        "a.npy",
        npy(np.array([[0, 1], [2, np.inf]])),
        ["sequence 1, step 1, channel 0: inf is not finite"],
    ),
    "npz cut": (read_arrays, "a.npz", npz(x=np.ones((2, 2)))[:-30], ["not a NumPy file"]),
    "npz names": (read_arrays, "a.npz", npz(X=np.ones((2, 2))), ["holds 'X'", "x, y, y_steps, offsets, lengths"]),
    "npz no x": (read_arrays, "a.npz", npz(y=np.ones(2)), ["holds no 'x'"]),
    "npz both": (read_arrays, "a.npz", npz(x=np.ones((2, 2)), y=[1, 2], y_steps=[1, 2]), ["both y and y_steps"]),
    "npz offsets": (
        read_arrays,
        "a.npz",
        npz(x=np.ones((5, 2)), offsets=[0, 3, 4]),
        ["offsets must rise from 0 to the 5 steps of x, not 0, 3, 4"],
    ),
    "npz lengths": (
        read_arrays,
        "a.npz",
        npz(x=np.ones((2, 5)), lengths=[5, 6]),
        ["sequence 1: length 6, but x holds 5 steps"],
    ),
    "npz fewer lengths": (read_arrays, "a.npz", npz(x=np.ones((2, 5)), lengths=[5]), ["2 rows of x, but 1 lengths"]),
    "npz part lengths": (read_arrays, "a.npz", npz(x=np.ones((2, 5)), lengths=[5.0, 1]), ["lengths: one row of whole"]),
    "npz y": (read_arrays, "a.npz", npz(x=np.ones((2, 5)), y=[1, 2, 3]), ["2 sequences in x, but 3 labels in y"]),
    "npz y_steps": (
        read_arrays,
        "a.npz",
        npz(x=np.ones((2, 5)), y_steps=np.ones((2, 4))),
        ["y_steps has the shape (2, 4)", "(2, 5)"],
    ),
    "wav text": (read_audio, "a.wav", b"not sound", ["not a sound file that can be read"]),
    "wav cut": (read_audio, "a.wav", wav(cut=100), ["is cut short", "promises 1644 bytes", "1544"]),
    "wav empty": (read_audio, "a.wav", wav(0), ["holds no samples"]),
    "wav nan": (read_audio, "a.wav", sound([0, 1, np.nan], "WAV", "FLOAT"), ["sample 2 is nan. Fix"]),
    "flac cut": (
        read_audio,
        "a.flac",
        sound(np.random.default_rng(0).normal(0, 0.1, 9000), "FLAC", "PCM_16")[:5000],
        [],
    ),
    "sound suffix": (read_audio, "a.ogg", b"OggS", ["holds no sound", ".wav, .flac"]),
    "tar text": (read_audio, "a.tar.gz", b"no", ["not a complete tar file"]),
    "tar cut": (read_audio, "a.tar.gz", tar(a__wav=wav(), b__wav=wav())[:200], ["not a complete tar file"]),
    "tar member": (read_audio, "a.tar.gz", tar(a__wav=wav(), b__wav=b"RIFF"), ["a.tar.gz', b.wav is not a sound file"]),
    "tar without": (read_audio, "a.tar", tar(a__txt=b"x"), ["holds no sound"]),
    "wav name": (
        partial(read_audio, label_from="{label}_{x}"),
        "a.wav",
        wav(),
        ["does not fit --label-from '{label}_{x}'"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file(name, tmp_path):
    read, file, raw, words = BAD[name]
    (tmp_path / file).write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read(tmp_path / file)
    message = str(caught.value)
    for word in [file, *words]:
        assert word in message
    assert "\n" not in message
    assert message.endswith((".", "?", "'"))
    assert 30 < len(message.replace(str(tmp_path), "")) < 250


@pytest.mark.parametrize("read", [read_ts, read_conll, read_labelled_text, read_arrays, read_audio])
def test_no_file(read, tmp_path):
    with pytest.raises(DataError, match="no file or folder named"):
        read(tmp_path / "gone.wav")
    with pytest.raises(DataError, match=r"folder|no sound"):
        read(tmp_path)
