import pytest

from gatewise.bench import works
from gatewise.bench.peers import PEERS
from gatewise.errors import OptionError


def test_the_default_is_all_but_a_cell_that_nobody_brought():
    assert set(works.NAMES) - set(works.choose(None, own_cell=False)) == {"cell", "cell-training"}
    assert works.choose(None, own_cell=True) == ("cell", "cell-training")
    assert set(works.choose(None, own_cell=False, quick=True)) < set(works.NAMES)


def test_names_are_taken_once_in_their_order():
    assert works.choose("step, forward,step", own_cell=False) == ("step", "forward")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("forwrd", "no kind of work named 'forwrd'. Did you mean 'forward'?"),
        ("forward,", "no kind of work named ''"),
        ("cell", "--work cell measures a cell of your own. Name it: --cell FILE.py:NAME"),
    ],
)
def test_what_cannot_be_measured_is_refused(text, said):
    with pytest.raises(OptionError, match=said.replace("?", r"\?")):
        works.choose(text, own_cell=False)


@pytest.mark.parametrize("work", works.WORKS.values(), ids=works.WORKS)
def test_every_peer_of_a_work_is_in_the_table(work):
    assert set(work.peers) <= set(PEERS)


def test_labels_fit_the_printed_table():
    assert all(len(peer.label) <= 8 for peer in PEERS.values())
