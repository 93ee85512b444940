import itertools
from functools import partial

import numpy as np
import pytest
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.metrics.v1 import precision_recall_fscore_support as precise
from seqeval.scheme import IOB2, IOBES

from gatewise.data.sequences import Sequences, category_column, offsets_of
from gatewise.data.text.tagging_schemes import (
    SCHEMES,
    Span,
    allowed_transitions,
    check_labels,
    convert,
    converted,
    detect_scheme,
    labels_of,
    span_scores,
    spans,
)
from gatewise.errors import DataError, OptionError

LABELS = {
    name: ["O", *(f"{letter}-{kind}" for letter in row.values() for kind in "xy")] for name, row in SCHEMES.items()
}


def sequences(*sentences, lines=None):
    labels = [label for sentence in sentences for label in sentence.split()]
    return Sequences(
        offsets_of(len(sentence.split()) for sentence in sentences),
        {"label": category_column("label", labels)},
        lines=None if lines is None else np.array(lines),
    )


def strings(found):
    return [" ".join(part.steps["label"].strings()) for part in found]


def draws(scheme, count=400, length=12):
    rng = np.random.default_rng(5)
    return [list(rng.choice(LABELS[scheme], rng.integers(1, length))) for _ in range(count)]


SAME = {  # one sentence in each scheme, by hand: spans x 0:1, x 1:3, y 3:4, and after a gap x 5:8
    "BIO": "B-x B-x I-x B-y O B-x I-x I-x",
    "IOB1": "I-x B-x I-x I-y O I-x I-x I-x",
    "BIOES": "S-x B-x E-x S-y O B-x I-x E-x",
    "BMES": "S-x B-x E-x S-y O B-x M-x E-x",
    "BILOU": "U-x B-x L-x U-y O B-x I-x L-x",
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("target", SCHEMES)
def test_one_sentence_in_every_scheme(scheme, target):
    assert spans(SAME[scheme].split(), scheme) == [(0, 1, "x"), (1, 3, "x"), (3, 4, "y"), (5, 8, "x")]
    assert convert(SAME[scheme].split(), scheme, target) == SAME[target].split()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_allowed_are_exactly_the_sequences_that_their_own_spans_write(scheme):
    labels = LABELS[scheme]
    matrix = allowed_transitions(labels, scheme)
    start, end = len(labels), len(labels) + 1
    for length in (1, 2, 3):
        for codes in itertools.product(range(len(labels)), repeat=length):
            path = [start, *codes, end]
            legal = all(matrix[a, b] for a, b in itertools.pairwise(path))
            words = [labels[code] for code in codes]
            assert legal == (labels_of(spans(words, scheme), length, scheme) == words), words
    assert not matrix[:, start].any()
    assert not matrix[end].any()
    assert matrix[start, end] == matrix[start, labels.index("O")] == matrix[labels.index("O"), end] == True  # noqa: E712


def test_allowed_by_hand():
    labels = ["O", "B-x", "I-x", "B-y", "I-y"]
    bio = allowed_transitions(labels, "BIO")
    assert [list(np.flatnonzero(~row)) for row in bio[:6]] == [[2, 4, 5], [4, 5], [4, 5], [2, 5], [2, 5], [2, 4, 5]]
    iob1 = allowed_transitions(labels, "IOB1")
    assert [list(np.flatnonzero(~row)) for row in iob1[:6]] == [[1, 3, 5], [3, 5], [3, 5], [1, 5], [1, 5], [1, 3, 5]]


@pytest.mark.parametrize("scheme", ["BIO", "IOB1", "BIOES"])
def test_spans_are_those_of_seqeval(scheme):
    for labels in draws(scheme):
        want = [Span(start, last + 1, kind) for kind, start, last in get_entities(labels)]
        assert spans(labels, scheme) == want


@pytest.mark.parametrize(
    ("scheme", "strict"), [("BIO", None), ("IOB1", None), ("BIOES", None), ("BIO", IOB2), ("BIOES", IOBES)]
)
def test_scores_are_those_of_seqeval(scheme, strict):
    gold = draws(scheme, 300)
    rng = np.random.default_rng(7)
    predicted = [[old if rng.random() < 0.7 else str(rng.choice(LABELS[scheme])) for old in row] for row in gold]
    reference = partial(precise, scheme=strict) if strict else precision_recall_fscore_support
    scores, by_type = span_scores(gold, predicted, scheme, strict=strict is not None)
    *want, _ = reference(gold, predicted, average="micro")
    np.testing.assert_allclose(scores[:3], want)
    assert 0.2 < scores.f1 < 0.9
    per_type = np.transpose(reference(gold, predicted, average=None))
    np.testing.assert_allclose([by_type[kind][:4] for kind in "xy"], per_type)


def test_scores_where_there_is_nothing():
    assert span_scores([["O"]], [["O"]], "BIO") == ((0, 0, 0, 0, 0, 0), {})
    with pytest.raises(DataError, match="sequence 1 has 2 labels, but 1 were predicted"):
        span_scores([["O"], ["O", "O"]], [["O"], ["O"]], "BIO")
    with pytest.raises(DataError, match="1 sequences have labels, but 2"):
        span_scores([["O"]], [["O"], ["O"]], "BIO")


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        (["B-x I-x O B-x"], "BIO"),
        (["O I-x I-x O", "I-y B-y"], "IOB1"),
        (["O I-x I-y"], "IOB1"),
        (["B-x B-x", "B-y I-y O"], "BIO"),
        (["B-x I-x O B-y I-y O B-y O", "O I-x"], "BIO"),  # legal in neither, and nearer to BIO
        (["I-x I-x O I-y I-y O I-y O", "O B-x I-x"], "IOB1"),
        (["B-x E-x S-y O"], "BIOES"),
        (["B-x M-x E-x O"], "BMES"),
        (["B-x L-x U-x"], "BILOU"),
        (["B M E S B E"], "BMES"),  # words of Chinese text
        (["B I O B"], "BIO"),
        (["NOUN B VERB"], None),
        (["A B O AB"], None),  # blood groups
        (["O"], None),
    ],
)
def test_detection(sentences, scheme):
    found = sequences(*sentences)
    assert detect_scheme(found.steps["label"], found.offsets) == scheme


def test_legal_labels_stay_and_illegal_ones_name_their_line():
    fine = sequences("B-x I-x", "B-y O")
    assert check_labels(fine) == (fine, "BIO")
    broken = sequences("B-x O", "O I-y I-y B-x I-x O", lines=[1, 2, 4, 5, 6, 7, 8, 9])
    with pytest.raises(DataError, match=r"^data, line 5: I-y after O is illegal in BIO\. Fix it, or pass --repair"):
        check_labels(broken)
    mended, scheme = check_labels(broken, repair=True)
    assert (strings(mended), scheme) == (["B-x O", "O B-y I-y B-x I-x O"], "BIO")
    with pytest.raises(DataError, match="sequence 1, step 0: I-y at the start of a sequence is illegal in BIO"):
        check_labels(sequences("B-x O B-x", "I-y O"), scheme="BIO")
    with pytest.raises(DataError, match="sequence 0, step 1: I-x at the end of a sequence is illegal in BIOES"):
        check_labels(sequences("B-x I-x", "S-y O"))
    with pytest.raises(DataError, match="sequence 0, step 2: O after B-x is illegal in BIOES"):
        check_labels(sequences("S-x B-x O E-x"))
    with pytest.raises(
        DataError, match="sequence 0, step 2: 'PER' is not a label of BIO, whose labels are O, B-TYPE, I-TYPE"
    ):
        check_labels(sequences("B-PER O PER"))
    with pytest.raises(DataError, match="'M-x' is not a label of BIOES"):
        check_labels(sequences("B-x I-x M-x E-x O"))
    with pytest.raises(OptionError, match=r"no tagging scheme named 'IOBES'. Did you mean 'BIOES'"):
        check_labels(fine, scheme="IOBES")


def test_whole_data_sets_are_converted():
    found = sequences(SAME["IOB1"], "O", SAME["IOB1"])
    assert strings(converted(found, "label", "IOB1", "BIOES")) == [SAME["BIOES"], "O", SAME["BIOES"]]
