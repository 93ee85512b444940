"""The one interface of all streams."""

from gatewise.runtime.streams import Stream


class Sums(Stream):
    """Running sums of numbers; a state is the sum."""

    def _initial_state(self):
        return 0

    def push(self, piece):
        self.state = self.state + piece
        return self.state


def test_a_state_is_a_value():
    stream = Sums()
    assert [stream.push(n) for n in (1, 2)] == [1, 3]
    kept = stream.state
    assert stream.push(10) == 13
    other = Sums()
    for again in (stream, other):
        again.state = kept
        assert again.push(5) == 8
    assert kept == 3


def test_reset_and_finish():
    stream = Sums()
    stream.push(4)
    assert stream.finish() is None
    stream.reset()
    assert stream.push(1) == 1
