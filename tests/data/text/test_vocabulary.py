import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import SHARED, needs_shared

from gatewise.data.readers.files import read_text
from gatewise.data.text import segmentation, vocabulary
from gatewise.data.text.vocabulary import KINDS, BytePairs, Characters, Vocabulary, Words, vocabulary_from_json
from gatewise.errors import DataError, MissingExtra, ModelFileError, OptionError

law = settings(derandomize=True, deadline=None, database=None, max_examples=200)

SENTENCES = (
    "Don't panic, said the well-known man.\n春眠不觉晓，处处闻啼鸟。\n"
    '"It \'s <unk> 3.14 (or so)" -- e\u0301a\u0300 हिन्दी 👍🏽!\n'
)
# Characters that are likely to be cut wrongly when they meet.
TRICKY = "ab'’-_.,:;1٣\"()[]<>/|$#@!?%…–—“”«»¿ \n\t\u3000中か゛\u3099é\u0301\u093f\u200d\u200c\ufe0f👍😀𝐀𠀀Я𑄀\x1c\x85"
tricky_text = st.text(st.sampled_from(TRICKY), max_size=40) | st.text(max_size=20)
clumsy = st.lists(
    st.sampled_from(["<unk>", "<pad>", "<", "</", "s", ">", "|", "don", "'", "t", "3", ".", "14", " ", "\n", "-"])
)
hard_text = tricky_text | clumsy.map("".join) | st.text()


@pytest.fixture(scope="module")
def pairs():
    return BytePairs.fit(SENTENCES * 5, size=300)


@pytest.fixture(scope="module", params=["characters", "words", "byte-pairs"])
def any_vocabulary(request, pairs):
    return pairs if request.param == "byte-pairs" else KINDS[request.param].fit(SENTENCES)


def pushed(vocabulary, ids):
    decoder = vocabulary.decoder()
    return "".join([decoder.push(int(id)) for id in ids]) + decoder.flush()


# --- what all of them do ----------------------------------------------------------------------------------------------


def test_kinds_are_named_as_in_their_documents(any_vocabulary):
    assert isinstance(any_vocabulary, Vocabulary)
    assert KINDS[any_vocabulary.to_json()["kind"]] is type(any_vocabulary)


def test_a_vocabulary_survives_its_json(any_vocabulary):
    again = vocabulary_from_json(json.loads(json.dumps(any_vocabulary.to_json())))
    assert again == any_vocabulary
    assert again.encode(SENTENCES).tolist() == any_vocabulary.encode(SENTENCES).tolist()
    assert again.to_json() == any_vocabulary.to_json()
    assert any_vocabulary != type(any_vocabulary).fit("another")
    assert any_vocabulary != "text"


def test_encode_gives_ids_of_this_vocabulary(any_vocabulary):
    ids = any_vocabulary.encode(SENTENCES)
    assert ids.dtype == np.int64
    assert ids.ndim == 1
    assert ids.min() >= 0
    assert ids.max() < len(any_vocabulary)
    assert any_vocabulary.unseen(SENTENCES) == []
    assert any_vocabulary.encode("").shape == (0,)
    assert any_vocabulary.decode([]) == any_vocabulary.decode(any_vocabulary.encode("")) == ""


@law
@given(data=st.data())
def test_pushed_ids_are_the_decoded_text(any_vocabulary, data):
    ids = data.draw(st.lists(st.integers(0, len(any_vocabulary) - 1)))
    assert pushed(any_vocabulary, ids) == any_vocabulary.decode(ids) == any_vocabulary.decode(np.array(ids, np.int32))


def test_a_flushed_decoder_starts_afresh(any_vocabulary):
    decoder = any_vocabulary.decoder()
    ids = any_vocabulary.encode(SENTENCES).tolist()[:25]
    first = "".join(map(decoder.push, ids)) + decoder.flush()
    assert "".join(map(decoder.push, ids)) + decoder.flush() == first


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_the_piece_size_changes_nothing(any_vocabulary, monkeypatch, size):
    text = (
        SENTENCES * 3
        + "Ω new stuff" * (any_vocabulary.kind != "characters")
        + "  \n\n x  "[: any_vocabulary.kind != "characters"]
    )
    before = any_vocabulary.encode(text), any_vocabulary.unseen(text), type(any_vocabulary).fit(text)
    monkeypatch.setattr(segmentation, "CHUNK_SIZE", size)
    monkeypatch.setattr(vocabulary, "CHUNK_SIZE", size)
    assert any_vocabulary.encode(text).tolist() == before[0].tolist()
    assert any_vocabulary.unseen(text) == before[1]
    assert type(any_vocabulary).fit(text) == before[2]


def test_ids_out_of_range_are_refused(any_vocabulary):
    size = len(any_vocabulary)
    for wrong in (-1, size):
        with pytest.raises(DataError, match=rf"no token has id {wrong}: this vocabulary of {size} ends at"):
            any_vocabulary.decode([0, wrong])
        with pytest.raises(DataError, match=f"no token has id {wrong}:"):
            any_vocabulary.decoder().push(wrong)
    for wrong in ([0.5], [[1]], 3, ["a"]):
        with pytest.raises(DataError, match="row of integers"):
            any_vocabulary.decode(wrong)


def test_options_are_checked(any_vocabulary):
    with pytest.raises(OptionError, match="unknown is 'ignore'"):
        any_vocabulary.encode("a", unknown="ignore")
    for empty in ("", " \t")[: 2 if any_vocabulary.kind == "words" else 1]:
        with pytest.raises(DataError, match="empty"):
            type(any_vocabulary).fit(empty)


LETTERS = {letter: id for id, letter in enumerate(vocabulary._bytes_by_letter())}


def tokenizer_json(**model):
    return {"kind": "byte-pairs", "tokenizer": {"model": {"vocab": LETTERS, "merges": [], **model}}}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "characters",
        {},
        {"kind": None},
        {"kind": ["characters"]},
        {"kind": "character"},
        {"kind": "characters"},
        {"kind": "characters", "characters": ""},
        {"kind": "characters", "characters": "ba"},
        {"kind": "characters", "characters": "aa"},
        {"kind": "characters", "characters": ["a", "b"]},
        {"kind": "words"},
        {"kind": "words", "words": {"a": 1}},
        {"kind": "words", "words": ["a", 1]},
        {"kind": "words", "words": ["a", ["b"]]},
        {"kind": "words", "words": ["a", ""]},
        {"kind": "words", "words": ["a", "a"]},
        {"kind": "words", "words": ["<unk>"]},
        {"kind": "byte-pairs"},
        {"kind": "byte-pairs", "tokenizer": "{}"},
        {"kind": "byte-pairs", "tokenizer": {}},
        {"kind": "byte-pairs", "tokenizer": {"model": []}},
        tokenizer_json(vocab={}),
        tokenizer_json(vocab={**LETTERS, "!": 7}),
        tokenizer_json(vocab={**LETTERS, "ab": 300}),
        tokenizer_json(vocab={**LETTERS, "ab": "256"}),
        tokenizer_json(vocab={**LETTERS, "a b": 256}),
        tokenizer_json(merges=None),
        tokenizer_json(merges=["a b"]),
        tokenizer_json(merges=[["a"]]),
        tokenizer_json(merges=[["a", ["b"]]]),
        tokenizer_json(merges=[["a", "b"]]),
    ],
    ids=lambda document: json.dumps(document)[:60],
)
def test_damaged_documents_are_refused_in_one_line(document):
    with pytest.raises(ModelFileError) as caught:
        vocabulary_from_json(document)
    assert "\n" not in str(caught.value)


def test_a_document_of_another_kind_is_refused():
    with pytest.raises(ModelFileError, match="kind 'words', not 'characters'"):
        Characters.from_json(Words.fit("a").to_json())
    with pytest.raises(ModelFileError, match="Did you mean 'words'"):
        vocabulary_from_json({"kind": "word"})


# --- characters -------------------------------------------------------------------------------------------------------


def test_characters_are_sorted_code_points():
    characters = Characters.fit("b\na中a😀")
    assert len(characters) == 5
    assert characters.to_json() == {"kind": "characters", "characters": "\nab中😀"}
    assert characters.encode("中b😀").tolist() == [3, 2, 4]
    assert Characters("ba") == Characters.fit("abab")


def test_unseen_characters_are_named_or_skipped():
    characters = Characters.fit("ab")
    assert characters.unseen("axbya\U0010ffff") == ["x", "y", "\U0010ffff"]
    with pytest.raises(DataError, match="a character that this vocabulary has not: 'x'"):
        characters.encode("axb")
    with pytest.raises(DataError, match=r"6 characters .*: 'z', 'y', 'x', 'w', 'v', \.\.\."):
        characters.encode("zyxwvu")
    assert characters.encode("axbya\U0010ffff", unknown="skip").tolist() == [0, 1, 0]
    assert characters.encode("xyz", unknown="skip").tolist() == []


@law
@given(st.text(st.characters(), min_size=1))  # with halves of surrogate pairs too
def test_characters_give_the_text_back(text):
    characters = Characters.fit(text)
    assert characters.decode(characters.encode(text)) == text
    assert len(characters) == len(set(text))


def test_characters_are_quick_and_small():
    text = "To be, or not to be: 春眠\n" * 200_000  # 5 million characters
    start = time.process_time()
    assert len(Characters.fit(text).encode(text)) == len(text)
    assert time.process_time() - start < 2  # a loop in Python takes longer; this takes 0.2 s


# --- words ------------------------------------------------------------------------------------------------------------


def cut(text):
    return [word for words in segmentation.words_of(text) for word in words]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic.", ["Don't", "panic", "."]),
        ("‘Rock ’n’ roll’", ["‘", "Rock", "’", "n", "’", "roll", "’"]),
        ("well-known -- a-", ["well-known", "-", "-", "a", "-"]),
        ("snake_case _x_", ["snake_case", "_", "x", "_"]),
        ("1,000.50 at 10:30, v2.", ["1,000.50", "at", "10:30", ",", "v2", "."]),
        ("it 's n't <unk> </s> <|end-of_text|>", ["it", "'s", "n't", "<unk>", "</s>", "<|end-of_text|>"]),
        ("a < b>c <a b>", ["a", "<", "b", ">", "c", "<", "a", "b", ">"]),
        ("a\n\n b\t\u3000c\x85", ["a", "\n", "\n", "b", "c"]),
        ("Q&A & AT&T", ["Q&A", "&", "AT&T"]),
        ("床有2M宽。", ["床", "有", "2M", "宽", "。"]),
        ("カナ\u3099と한국어 일", ["カ", "ナ\u3099", "と", "한국어", "일"]),
        ("e\u0301te\u0301 हिन्दी می\u200cخواهم", ["e\u0301te\u0301", "हिन्दी", "می\u200cخواهم"]),
        ("❤\ufe0f!", ["❤\ufe0f", "!"]),
    ],
)
def test_words_are_cut(text, words):
    assert cut(text) == words


@pytest.mark.parametrize(
    "text",
    [
        'He said: "Stop it!" (and left), didn\'t he?',
        "‘Why,’ said she… “[no]”",
        "It cost $5, or 10% of 3.14.",
        "One.\nTwo, three.\n\nFour",
        "春眠不觉晓，处处闻啼鸟。他说：“好！”……床有2M宽\n夜来",
        "Yes -- and no!!",
        "the <unk> 's n't",
    ],
)
def test_decoded_words_look_as_printed(text):
    words = Words.fit(text)
    assert words.decode(words.encode(text)) == text


@law
@given(hard_text.filter(lambda text: cut(text)), st.data())
def test_any_words_in_any_order_are_read_back(text, data):
    words = Words(sorted(set(cut(text)) - set(Words.SPECIAL)))
    ids = data.draw(st.lists(st.integers(1, len(words) - 1)) if len(words) > 1 else st.just([1]))
    assert words.encode(words.decode(ids)).tolist() == ids


@law
@given(st.lists(st.sampled_from([*TRICKY, "<", "/", "|", "unk", "s", ">", "'", "don", "t", "3", "'s", "re"])))
def test_tricky_words_are_read_back(pieces):
    words = Words(
        sorted({word for piece in [*TRICKY, "unk", "don", "t", "re", "'s", "</s>", "3.14"] for word in cut(piece)})
    )
    ids = [int(id) for piece in pieces for id in words.encode(piece)]
    assert words.encode(words.decode(ids)).tolist() == ids


def test_special_words():
    words = Words.fit("a <unk> <pad> b b")
    assert words.words == ("<pad>", "<unk>", "b", "a")
    assert words.encode("a <unk> <pad> zebra").tolist() == [3, 1, 1, 1]  # padding is never text
    assert words.encode("zebra", unknown="skip").tolist() == [1]
    assert words.unseen("zebra a <pad> <unk> ant zebra") == ["zebra", "<pad>", "ant"]
    assert words.decode([0, 3, 0, 2, 0]) == "a b"


def test_words_are_cut_to_size_the_same_way_each_time():
    text = "d d d c c b b a"
    assert Words.fit(text).words[2:] == ("d", "b", "c", "a")
    assert Words.fit(" ".join(reversed(text.split()))) == Words.fit(text)
    assert Words.fit(text, max_size=4).words[2:] == ("d", "b")
    assert Words.fit(text, min_frequency=2).words[2:] == ("d", "b", "c")
    assert Words.fit(text, max_size=3, min_frequency=3).words[2:] == ("d",)
    with pytest.raises(OptionError, match="max_size is 2"):
        Words.fit(text, max_size=2)
    with pytest.raises(OptionError, match="min_frequency is 0"):
        Words.fit(text, min_frequency=0)
    with pytest.raises(DataError, match="most frequent: 3"):
        Words.fit(text, min_frequency=4)
    with pytest.raises(DataError, match="twice"):
        Words(["a", "a"])


# --- byte pairs -------------------------------------------------------------------------------------------------------


@law
@given(text=hard_text)
def test_byte_pairs_lose_nothing(pairs, text):
    assert pairs.decode(pairs.encode(text)) == text
    assert pairs.unseen(text) == []


@law
@given(text=hard_text)
def test_byte_pairs_are_cut_as_tokenizers_cuts_the_whole_text(pairs, text):
    from tokenizers import Tokenizer

    theirs = Tokenizer.from_str(json.dumps(pairs.to_json()["tokenizer"]))
    assert pairs.encode(text).tolist() == theirs.encode(text).ids


def test_byte_pairs_save_tokens_and_keep_to_their_size():
    text = "the cat and the hat and the bat\n" * 20
    pairs = BytePairs.fit(text, size=270)
    assert len(BytePairs.fit(text, size=260)) == 260
    assert len(pairs) == 269  # every word of the text is one token then, and there is nothing left to join
    assert len(pairs.encode(text)) == 20 * 9
    assert len(BytePairs.fit("xyz")) == 256  # nothing comes twice
    assert len(BytePairs.fit(text, size=256)) == 256
    with pytest.raises(OptionError, match="size is 255"):
        BytePairs.fit(text, size=255)


def test_a_character_comes_whole_or_not_yet(pairs):
    bare = BytePairs.fit("xyz")
    decoder = bare.decoder()
    ids = bare.encode("é😀a").tolist()
    assert [decoder.push(id) for id in ids] == ["", "é", "", "", "", "😀", "a"]
    assert decoder.flush() == ""
    assert [decoder.push(id) for id in ids[:1]] == [""]
    assert decoder.flush() == "\ufffd"
    assert bare.decode(ids[2:4] + ids[6:]) == "\ufffda"


def test_half_a_surrogate_pair_is_no_text(pairs):
    assert pairs.unseen("a\ud800b\udfff\ud800") == ["\ud800", "\udfff"]
    with pytest.raises(DataError, match=r"2 characters .*'\\ud800', '\\udfff'"):
        pairs.encode("a\ud800b\udfff")
    assert pairs.decode(pairs.encode("a\ud800b", unknown="skip")) == "ab"


def test_byte_pairs_of_text_without_white_space():
    text = "春眠不觉晓处处闻啼鸟" * 1000
    pairs = BytePairs.fit(text, size=280)
    assert pairs.decode(pairs.encode(text)) == text


TRAINING = """
import hashlib, json, os, sys
from gatewise.data.text.vocabulary import BytePairs
text = "".join(chr(97 + i * i % 23) + " " * (i % 3 == 0) for i in range(5000))
pairs = BytePairs.fit(text, size=400)
pairs.encode(text)
if sys.argv[1:] == ["fork"]:
    if os.fork() == 0:
        pairs.encode(text)
        os._exit(0)
    os.wait()
print(hashlib.sha256(json.dumps(pairs.to_json()).encode()).hexdigest())
"""


def train_elsewhere(*arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"} | variables
    command = [sys.executable, "-c", TRAINING, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def test_training_byte_pairs_is_quiet_and_gives_the_same_each_time():
    digest = train_elsewhere(PYTHONHASHSEED="1")
    assert len(digest) == 65
    assert train_elsewhere(PYTHONHASHSEED="2", TOKENIZERS_PARALLELISM="true") == digest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_process_that_used_byte_pairs_may_fork():
    assert len(train_elsewhere("fork")) == 65  # with the library's threads the child would hang


def test_without_tokenizers_reading_still_works(pairs, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'gatewise\[text\]'"):
        BytePairs.fit("text")
    ids = pairs.encode(SENTENCES)  # made before
    again = vocabulary_from_json(pairs.to_json())
    assert again.decode(ids) == SENTENCES
    with pytest.raises(MissingExtra):
        again.encode("text")


def test_vocabularies_need_no_heavy_library():
    modules = "gatewise.data.text.vocabulary, gatewise.data.readers.files"
    code = f"import sys, {modules}; print({{'torch', 'tokenizers'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# --- real text --------------------------------------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize(
    ("folder", "encoding"), [("alice", "utf-8"), ("mr", "latin-1"), ("chnsenticorp_htl", "utf-8"), ("ptb", "utf-8")]
)
def test_real_text(folder, encoding):
    text = read_text(SHARED / folder, encoding)[:120_000]
    for lossless in (Characters.fit(text), BytePairs.fit(text, size=600)):
        assert lossless.decode(lossless.encode(text)) == text
    words = Words.fit(text)
    ids = words.encode(text)
    assert words.encode(words.decode(ids)).tolist() == ids.tolist()
    small = Words.fit(text, max_size=100)
    assert len(small) == 100
    ids = small.encode(text)
    assert 0 < (ids == Words.UNK).mean() < 0.9
    assert small.encode(small.decode(ids)).tolist() == ids.tolist()


@needs_shared
def test_penn_treebank_keeps_its_words():
    text = read_text(SHARED / "ptb" / "ptb.valid.txt.gz")
    assert len(text.split()) + text.count("\n") == 73_760
    others = {word for word in text.split() if cut(word) != [word]}
    assert all(set(word) & {*".$\\"} for word in others)  # mr. and us$ are two, 1\/2 is three
    assert {"n't", "'s", "<unk>", "at&t", "real-estate"} <= set(text.split()) - others
