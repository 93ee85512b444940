"""Sessions share calls of the engine, and nothing else."""

import asyncio
import random

import numpy as np
import pytest
from serving import hall_of

from gatewise.errors import DataError, ModelFileError, OptionError
from gatewise.runtime.language_model import LanguageModel
from gatewise.serve.limits import Limits, Refused
from gatewise.serve.metrics import Metrics
from gatewise.serve.sessions import Sessions, steps_of

TEXTS = ["Peter Piper picked", "peck of", "s where", "the", "peppers.\nA ", "k"]


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module")
def model(model_file):
    return LanguageModel.load(model_file)


def run(work, model, **limits):
    """What a coroutine function makes of sessions of the model."""
    clock = Clock()

    async def main():
        sessions = Sessions(model.streams(), "rhyme", Limits(**limits), Metrics(), clock)
        try:
            return await work(sessions, clock)
        finally:
            sessions.shut()

    return asyncio.run(main())


def alone(model, pieces):
    """The last scores of one stream that nobody shares a call with."""
    streams = model.streams()
    stream = streams.open()
    return [streams.push({stream: piece})[stream] for piece in pieces]


def test_whoever_joins_and_leaves_each_has_the_bits_it_has_alone(model):
    draws = random.Random(5)
    plans = [[draws.choice(TEXTS) for _ in range(draws.randrange(1, 9))] for _ in range(60)]

    async def work(sessions, _):
        async def one(pieces):
            await asyncio.sleep(draws.random() / 50)
            session, found = await sessions.open(), []
            for piece in pieces:
                found.append(await sessions.push(session, piece))
                if draws.random() < 0.3:
                    await asyncio.sleep(draws.random() / 100)
                if draws.random() < 0.1:  # to another state and back
                    await sessions.restore(session, await sessions.state(session))
            await sessions.close(session)
            return found

        return await asyncio.gather(*map(one, plans))

    for pieces, answers in zip(plans, run(work, model), strict=True):
        for answer, wanted in zip(answers, alone(model, pieces), strict=True):
            np.testing.assert_array_equal(answer, wanted)


def test_whoever_waits_is_in_the_same_call(model):
    async def work(sessions, _):
        calls = []
        push = sessions._streams.push
        sessions._streams.push = lambda pieces: calls.append(len(pieces)) or push(pieces)
        opened = [await sessions.open() for _ in range(20)]
        await asyncio.gather(*(sessions.push(session, "A ") for session in opened))
        return calls

    assert run(work, model) == [20]


def test_pieces_of_one_session_are_read_in_their_order(model):
    async def work(sessions, _):
        session = await sessions.open()
        return await asyncio.gather(*(sessions.push(session, text) for text in TEXTS))

    np.testing.assert_array_equal(run(work, model), alone(model, TEXTS))


def test_a_bad_piece_is_told_to_its_own_session(model):
    async def work(sessions, _):
        good, bad = await sessions.open(), await sessions.open()
        found = await asyncio.gather(sessions.push(good, "Peter"), sessions.push(bad, "日本"), return_exceptions=True)
        return found, bad.steps, await sessions.push(bad, "Peter")

    (answer, error), steps, after = run(work, model)
    assert isinstance(error, DataError)
    assert "日" in str(error)
    assert steps == 0
    np.testing.assert_array_equal(answer, alone(model, ["Peter"])[0])
    np.testing.assert_array_equal(after, answer)


def test_a_fork_goes_on_from_there_and_a_reset_from_the_beginning(model):
    async def work(sessions, _):
        session = await sessions.open()
        await sessions.push(session, "Peter ")
        branch = await sessions.fork(session)
        assert (branch.id, branch.steps) != (session.id, 0)
        found = [await sessions.push(session, "a"), await sessions.push(branch, "P")]
        await sessions.reset(session)
        return [*found, await sessions.push(session, "P")]

    a, P, anew = run(work, model)
    np.testing.assert_array_equal(a, alone(model, ["Peter a"])[0])
    np.testing.assert_array_equal(P, alone(model, ["Peter P"])[0])
    np.testing.assert_array_equal(anew, alone(model, ["P"])[0])


def test_limits_refuse_by_name(model):
    async def work(sessions, _):
        one = await sessions.open()
        await sessions.open()
        with pytest.raises(Refused, match="all 2 sessions"):
            await sessions.open()
        with pytest.raises(Refused, match="all 2 sessions"):
            await sessions.fork(one)
        with pytest.raises(Refused, match="6 steps are more than the 5 that"):
            await sessions.push(one, "A peck")
        found = await asyncio.gather(*(sessions.push(one, "a") for _ in range(5)), return_exceptions=True)
        assert [isinstance(answer, Refused) for answer in found] == [False, False, False, True, True]
        assert "3 pieces of this session wait" in str(found[-1])
        assert (one.steps, len(sessions)) == (3, 2)

    run(work, model, sessions=2, steps=5, queue=3)


def test_who_opens_many_at_a_time_gets_no_more_than_there_are(model):
    async def work(sessions, _):
        found = await asyncio.gather(*(sessions.open() for _ in range(9)), return_exceptions=True)
        assert sum(isinstance(one, Refused) for one in found) == 5

    run(work, model, sessions=4)


def test_what_nobody_uses_expires(model):
    async def work(sessions, clock):
        used, unused, held = [await sessions.open() for _ in range(3)]
        held.held = True
        clock.now += 8
        await sessions.push(used, "a")
        clock.now += 4
        await sessions.expire()
        assert len(sessions) == 2
        assert sessions.find(used.id) is used
        assert sessions.find("never") is None
        with pytest.raises(Refused, match="expired: nobody used it for 10 seconds") as refused:
            sessions.find(unused.id)
        assert refused.value.status == 410

    run(work, model, idle=10)


def test_a_closed_session_and_what_is_no_state_are_refused(model):
    async def work(sessions, _):
        session = await sessions.open()
        await sessions.close(session)
        await sessions.close(session)
        with pytest.raises(OptionError, match="closed, or never opened"):
            await sessions.push(session, "a")
        with pytest.raises(ModelFileError, match="these 3 bytes are not the state of a stream"):
            await sessions.open(b"abc")
        assert len(sessions) == 0

    run(work, model)


def test_steps_are_counted_by_what_a_piece_is():
    pieces = ["text", [[1, 2], [3, 4]], 7, np.zeros((5, 2)), np.zeros(2)]
    assert [steps_of(piece) for piece in pieces] == [4, 2, 1, 5, 1]


def test_models_of_one_name_are_refused(model_file, tmp_path):
    (tmp_path / model_file.name).write_bytes(model_file.read_bytes())
    with pytest.raises(OptionError, match="two models are called 'rhyme'"):
        hall_of([model_file, tmp_path / model_file.name])
