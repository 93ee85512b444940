from collections import Counter

import pytest

from gatewise.data import sources
from gatewise.data.readers.conll import read_conll
from gatewise.data.sources import Roles
from gatewise.data.text.tagging_schemes import check_labels, spans
from gatewise.errors import DataError, OptionError

UNIVERSAL = """# sent_id = 1
# text = Don't go
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\tMood=Imp|VerbForm=Fin\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\t_\tMood=Imp\t0\troot\t_\t_
3.1\tthere\tthere\tADV\t_\t_\t_\t_\t3:x\t_

# sent_id = 2
1\tNo\tno\tINTJ\tUH\t_\t0\troot\t_\tSpaceAfter=No
"""


@pytest.fixture
def read(tmp_path):
    def write_and_read(text, name="a.conll", **options):
        (tmp_path / name).write_text(text)
        return read_conll(tmp_path / name, **options)

    return write_and_read


def words(sequences, column):
    return [part.steps[column].strings() for part in sequences]


def test_columns_by_tab(read):
    sequences = read("-DOCSTART-\tO\n\nNew York\tB-LOC\n\t\n\n# a comment\n#\tO\n\u3000\tO\n.\tO")
    assert words(sequences, "token") == [["New York"], ["#", "\u3000", "."]]
    assert words(sequences, "label") == [["B-LOC"], ["O", "O", "O"]]
    assert sequences.lines.tolist() == [3, 7, 8, 9]


def test_columns_by_space(read):
    text = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ  I-VP O \n\nPeter NNP I-NP I-PER\n"
    sequences = read(text)
    assert words(sequences, "token") == [["EU", "rejects"], ["Peter"]]
    assert words(sequences, "label") == [["I-ORG", "O"], ["I-PER"]]
    assert words(read(text, label=2), "label") == [["NNP", "VBZ"], ["NNP"]]
    assert words(read(text, token=2, label=-2), "token") == [["NNP", "VBZ"], ["NNP"]]
    assert words(read(text, label=-2), "label") == [["I-NP", "I-VP"], ["I-NP"]]


def test_one_column_is_text_to_label(read):
    sequences = read("one\ntwo\n\nthree\n")
    assert words(sequences, "token") == [["one", "two"], ["three"]]
    assert list(sequences.steps) == ["token"]


@pytest.mark.parametrize("name", ["a.conllu", "a.txt", "-"])
def test_conllu_is_known_by_suffix_or_content(read, name):
    sequences = read(UNIVERSAL, name)
    assert words(sequences, "token") == [["Do", "n't", "go"], ["No"]]
    assert words(sequences, "label") == [["AUX", "PART", "VERB"], ["INTJ"]]
    assert sequences.lines.tolist() == [4, 5, 6, 10]
    assert words(read(UNIVERSAL, name, label="xpos"), "label") == [["VB", "RB", None], ["UH"]]
    assert words(read(UNIVERSAL, name, label="feats"), "label")[0] == ["Mood=Imp|VerbForm=Fin", "_", "Mood=Imp"]
    assert words(read(UNIVERSAL, name, label=8, token="lemma"), "label") == [["aux", "advmod", "root"], ["root"]]
    assert words(read(UNIVERSAL, name, token="lemma"), "token")[1] == ["no"]


def test_broken_spans_are_mended_on_request(read):
    sequences = read("a B-x\nb O\nc I-x\nd B-y\n", repair=True)
    assert words(sequences, "label") == [["B-x", "O", "B-x", "B-y"]]


def test_columns_that_are_not_there(read):
    with pytest.raises(OptionError, match="has no column 3: it has 2"):
        read("a O\n", label=3)
    with pytest.raises(OptionError, match="has no column 0"):
        read("a O\n", token=0)
    with pytest.raises(OptionError, match="has no column names, so 'upos' is none"):
        read("a O\n", label="upos")
    with pytest.raises(OptionError, match=r"no column of CoNLL-U named 'lema'. Did you mean 'lemma'"):
        read(UNIVERSAL, label="lema")


@pytest.mark.parametrize(
    ("file", "sentences", "tokens"),
    [
        ("wnut17/wnut17train.conll.gz", 3394, 62730),
        ("wnut17/emerging.dev.conll.gz", 1009, 15733),
        ("wnut17/emerging.test.annotated.gz", 1287, 23394),
        ("resume_ner_zh/test.char.bmes.gz", 477, 15100),
        ("ud_en_ewt/en_ewt-ud-dev.conllu.gz", 2001, 25147),
        ("ud_en_ewt/en_ewt-ud-test.conllu.gz", 2077, 25094),
    ],
)
def test_published_counts(shared, file, sentences, tokens):
    found = read_conll(shared / file)
    assert (len(found), len(found.steps["token"])) == (sentences, tokens)


def test_two_names_that_are_cut_in_two(shared):
    """A sentence of the source ends inside each, behind the full stop of a translated name."""
    file = shared / "resume_ner_zh" / "train.char.bmes.gz"
    with pytest.raises(DataError, match=r"line 62390: M-ORG at the end .* illegal in BMES.* There are 3 more"):
        read_conll(file)
    mended = read_conll(file, repair=True)
    assert (len(mended), len(mended.steps["token"])) == (3821, 124099)
    assert mended.steps["label"].strings()[int((mended.lines == 62390).argmax())] == "E-ORG"


def test_real_schemes(shared):
    train = read_conll(shared / "wnut17" / "wnut17train.conll.gz")
    assert check_labels(train)[1] == "BIO"
    found = Counter(span.type for part in train for span in spans(part.steps["label"].strings(), "BIO"))
    # what grep counts of B-person and so on
    assert found == {
        "person": 660,
        "location": 548,
        "group": 264,
        "corporation": 221,
        "product": 142,
        "creative-work": 140,
    }
    assert check_labels(read_conll(shared / "resume_ner_zh" / "dev.char.bmes.gz"))[1] == "BMES"
    assert check_labels(read_conll(shared / "ud_en_ewt" / "en_ewt-ud-dev.conllu.gz"))[1] is None


FOUR = "EU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\nPeter NNP I-NP I-PER\n"
PLUS = "# global.columns = ID FORM UPOS PARSEME:MWE\n# text = so\n1\tSo\tADV\t*\n2-3\tbeit\t_\t_\n2\tbe\tAUX\t1:VID\n"


def test_columns_to_learn_from(read):
    sequences = read(FOUR, columns=["1", "3"], label="2")
    assert list(sequences.steps) == ["1", "3", "label"]
    assert [sequences.steps[name].kind for name in sequences.steps] == ["text", "category", "category"]
    assert words(sequences, "1") == [["EU", "rejects"], ["Peter"]]
    assert words(sequences, "3") == [["I-NP", "I-VP"], ["I-NP"]]
    assert words(sequences, "label") == [["NNP", "VBZ"], ["NNP"]]
    assert words(read(FOUR, columns=["token", -2]), "-2") == [["I-NP", "I-VP"], ["I-NP"]]
    assert list(read(FOUR, columns=["token", "2"], labelled=False).steps) == ["token", "2"]
    assert list(read(FOUR, every=True).steps) == ["token", "2", "3", "label"]
    assert list(read(UNIVERSAL, every=True).steps)[:4] == ["token", "id", "lemma", "xpos"]
    universal = read(UNIVERSAL, columns=["FORM", "5", "feats"], label="upos")
    assert words(universal, "5") == [["VB", "RB", "_"], ["UH"]]
    assert words(universal, "feats")[1] == ["_"]
    assert universal.steps["FORM"].kind == "text"


def test_labels_are_left_alone_if_not_wanted(read):
    broken = "a X B-x\nb Y I-y\n"  # as spans
    with pytest.raises(DataError):
        read(broken)
    assert list(read(broken, labelled=False).steps) == ["token"]


@pytest.mark.parametrize("name", ["a.conllup", "a.conllu", "a.txt"])
def test_columns_that_the_first_line_names(read, name):
    sequences = read(PLUS, name)
    assert words(sequences, "token") == [["So", "be"]]
    assert words(sequences, "label") == [["ADV", "AUX"]]
    assert words(read(PLUS, name, label="parseme:mwe"), "label") == [["*", "1:VID"]]
    assert words(read(PLUS, name, columns=["form", "PARSEME:MWE"]), "PARSEME:MWE") == [["*", "1:VID"]]
    with pytest.raises(DataError, match="line 7: 3 columns separated by tabs, but its first line names 4"):
        read(PLUS + "\n3\tit\tPRON\n", name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["1", "4"]}, r"column 4 of '.*a\.conll' is the target, so it cannot be learned from"),
        ({"columns": ["5"]}, "has no column 5: it has 4"),
        ({"columns": ["pos"]}, r"has no column names, so 'pos' is none\. Give a number: 1 to 4"),
        ({"label": "-5"}, "has no column -5: it has 4"),
    ],
)
def test_columns_that_cannot_be_learned_from(read, options, message):
    with pytest.raises(OptionError, match=message):
        read(FOUR, **options)


@pytest.mark.parametrize("suffix", [".conll", ".txt", ".train"])
def test_columns_by_number_reach_the_reader(tmp_path, suffix):
    path = tmp_path / f"four{suffix}"
    path.write_text(FOUR)
    roles = Roles(target=("-2",), columns=["1", "2"], per_step=True, lines="tokens")
    found = sources.read(path, roles=roles)
    assert list(found.steps) == ["1", "2", "label"]
    assert words(found, "label") == [["I-NP", "I-VP"], ["I-NP"]]
