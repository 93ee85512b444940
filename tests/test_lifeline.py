"""Ranks learn that one of them is gone. The ranks are objects of one process here; `tests/ranks/` has real ones."""

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from gatewise import lifeline
from gatewise.errors import RankError
from gatewise.lifeline import Hub, Spoke, follow_up, speaks, terminated


@pytest.fixture
def joined(monkeypatch):
    """Makes a hub and its spokes, each on the machine that it is told to be on."""
    with ExitStack() as stack:

        def make(*machines):
            monkeypatch.setattr(lifeline, "machine", lambda: machines[0])
            hub = Hub(len(machines))
            stack.callback(hub.leave)
            spokes = []
            for rank, name in enumerate(machines[1:], 1):
                monkeypatch.setattr(lifeline, "machine", lambda name=name: name)
                spokes.append(Spoke(rank, lambda: ("localhost", hub.port, hub.token), 5))
                stack.callback(spokes[-1].leave)
            monkeypatch.setattr(lifeline, "machine", lambda: machines[0])
            hub.wait(5)
            monkeypatch.setattr(lifeline, "_line", hub)  # it is the process
            return hub, *spokes

        yield make
        monkeypatch.setattr(lifeline, "_line", None)


def cut(line):
    """What the system does with the connection of a process that dies."""
    line._left.set()
    line._connection.shutdown(socket.SHUT_RDWR)


def test_the_others_learn_which_rank_is_gone_and_the_lowest_of_each_machine_says_so(joined):
    hub, one, two, three, four = joined("a", "a", "b", "b", "b")
    cut(two)
    for line in (hub, one, three, four):
        assert f"rank 2 on {socket.gethostname()} is gone" in line.lost(5)
    assert [line.loss.speaks for line in (hub, one, three, four)] == [True, False, True, False]


def test_a_rank_that_fails_speaks_for_its_machine(joined):
    hub, one, two, three = joined("a", "a", "b", "b")
    one.fail("ZeroDivisionError: made")
    for line in (hub, one, two, three):
        assert "rank 1 on" in (told := line.lost(5))
        assert "failed: ZeroDivisionError: made" in told
    assert [line.loss.speaks for line in (hub, one, two, three)] == [False, True, True, False]


def test_what_all_ranks_fail_of_is_said_once(joined):
    lines = joined("a", "a", "a")
    for line in reversed(lines):
        line.fail("hidden_size is 0")
    assert sum(line.loss.speaks for line in lines) == 1


def test_the_first_loss_counts(joined):
    hub, one, two = joined("a", "a", "a")
    cut(one)
    assert "rank 1" in two.lost(5)
    two.fail("it lost rank 1")
    assert "rank 1" in hub.lost(5)


def test_the_first_rank_is_missed_too(joined):
    hub, one, two = joined("a", "a", "b")
    hub._left.set()  # which a process that dies does not do, but it would hear of its own death
    for peer in hub._peers.values():
        peer.connection.shutdown(socket.SHUT_RDWR)
    for line in (one, two):
        assert f"rank 0 on {socket.gethostname()} is gone" in line.lost(5)


def test_who_leaves_in_order_is_not_missed(joined):
    hub, one, two = joined("a", "a", "a")
    one.leave()
    assert two.lost(0.3) == hub.lost(0.3) == ""
    hub.leave()
    assert two.lost(0.3) == ""


def test_strangers_and_ranks_of_another_training_are_not_let_in():
    hub = Hub(2)
    try:
        for said in (
            b"GET / HTTP/1.1\r\n\r\n",
            json.dumps({"rank": 1, "token": "0" * 32}).encode() + b"\n",
            b"\xff" * 9,
        ):
            with socket.create_connection(("localhost", hub.port)) as stranger:
                stranger.sendall(said)
                stranger.shutdown(socket.SHUT_WR)
                assert stranger.recv(100) == b""
        with pytest.raises(RankError, match=r"rank 1 of 2 did not come within 0\.1 seconds"):
            hub.wait(0.1)
    finally:
        hub.leave()


def test_a_spoke_waits_for_the_hub_of_its_own_training():
    old = Hub(2)
    old.leave()
    new = Hub(2)
    told = iter([("localhost", old.port, old.token), ("localhost", new.port, old.token)])
    spoke = Spoke(1, lambda: next(told, ("localhost", new.port, new.token)), 5)
    assert spoke.token == new.token
    spoke.leave()
    new.leave()


def test_a_rank_that_is_ready_for_the_next_training_waits_until_the_first_one_is_too(joined):
    old, one = joined("a", "a")
    one.leave()
    with pytest.raises(RankError, match="cannot reach the first one"):
        Spoke(1, lambda: ("localhost", old.port, old.token), 0.2)


def test_a_hub_that_cannot_be_reached_is_an_error_of_ours():
    with socket.create_server(("localhost", 0)) as other:
        port = other.getsockname()[1]
    with pytest.raises(RankError, match=rf"rank 1 cannot reach the first one at localhost, port {port}"):
        Spoke(1, lambda: ("localhost", port, "0"), 0.2)


def test_a_rank_that_cannot_end_by_itself_is_ended():
    """It waits in an operation that would take hours."""
    program = """
import os, sys, time
from gatewise import lifeline
lifeline._GRACE = 0.2
hub = lifeline.Hub(2)
spoke = lifeline.Spoke(1, lambda: ("localhost", hub.port, hub.token), 5)
lifeline._line = hub
hub.afterwards = lambda: "Go on from x."
spoke._left.set()
spoke._connection.shutdown(2)
time.sleep(60)
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert done.returncode == 2
    host = socket.gethostname()
    lost = f"gatewise: rank 1 on {host} is gone (it was killed, or crashed), so training cannot go on. Go on from x.\n"
    assert done.stderr == lost
    assert time.monotonic() - began < 50


def test_a_link_that_is_silent_is_given_up(joined):
    """The system's own settings of the connections: Linux has all of them."""
    hub, one = joined("a", "a")
    for end in (one._connection, hub._peers[1].connection):
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15000
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 2


def test_sigterm_tells_of_the_rank_that_it_follows(joined):
    _, one = joined("a", "a")
    cut(one)
    with pytest.raises(RankError, match="rank 1"):
        terminated(signal.SIGTERM, None)
    terminated(signal.SIGTERM, None)  # once it ends, nothing disturbs it


def test_sigterm_alone_ends_with_its_code(joined):
    joined("a", "a")
    with pytest.raises(SystemExit) as caught:
        terminated(signal.SIGTERM, None)
    assert caught.value.code == 143


@pytest.mark.parametrize(("rank", "expected"), [("0", True), ("1", False)])
def test_before_ranks_are_joined_the_first_of_a_machine_speaks(monkeypatch, rank, expected):
    for name, value in {"RANK": "4", "LOCAL_RANK": rank, "WORLD_SIZE": "8", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    assert speaks() is expected


def test_what_follows_is_said(tmp_path, monkeypatch):
    path = tmp_path / "m.checkpoint"
    assert "The last checkpoint, if there is one yet" in follow_up(path)
    path.touch()
    assert follow_up(path) == f"The last checkpoint is {path}: add --resume to go on from there."
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "2")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert "torchrun starts all processes again" in follow_up(path)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert "--resume" in follow_up(path)
