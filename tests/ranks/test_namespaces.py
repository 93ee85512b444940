"""Two machines on one box: network namespaces, each with its own address and name, joined by a link that can be cut."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from benchmarks import faults
from benchmarks.faults import NODES, Launched, fast_clock, link, losses, on_both, one_box, text, trains, two_boxes

SHORT, LONG = ("--epochs", "6"), ("--epochs", "200")


def why_not():
    """Why there can be no namespaces here; empty if there can."""
    if not (shutil.which("ip") and shutil.which("unshare")):
        return "`ip` (iproute2) or `unshare` (util-linux) is not installed"
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    tried = subprocess.run(["ip", "netns", "add", "gw-try"], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "delete", "gw-try"], capture_output=True, check=False)
    return f"no network namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@pytest.fixture
def folder(tmp_path):
    text(tmp_path)
    with two_boxes():
        yield tmp_path


@pytest.fixture
def launch(folder):
    """Starts a `torchrun` in each; none of it outlives the test."""
    started = []

    def start(*options, **more):
        started.extend(on_both(folder, *options, **more))
        return started

    yield start
    for own in started:
        own.kill()
        own.wait()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The history of two processes on one box that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    text(folder)
    own = Launched(folder, one_box(words=SHORT))
    assert own.wait() == 0, own.log.read_text()
    return losses(folder)


def ends(pair, seconds=120):
    """Seconds until both have ended."""
    began = time.monotonic()
    for own in pair:
        own.wait(seconds)
    return time.monotonic() - began


def test_a_link_that_is_cut_for_5_seconds_is_survived_with_the_bits_of_one_box(folder, launch, undisturbed):
    pair = launch(words=SHORT)
    trains(folder, *pair)
    faults._cut_short(pair)
    assert [own.wait() for own in pair] == [0, 0], [own.log.read_text() for own in pair]
    assert losses(folder) == undisturbed


@pytest.mark.slow
def test_a_link_that_is_cut_for_good_ends_both_sides_within_30_seconds(folder, launch):
    pair = launch(words=LONG)
    trains(folder, *pair)
    ranks = [pid for own in pair for pid in own.ranks]
    began = time.monotonic()
    link("down")
    first, second = pair
    faults.until(lambda: not any(map(faults._lives, ranks)), 60)
    assert time.monotonic() - began < 30  # the second torchrun itself goes on waiting for the first one
    assert len(first.said) == len(second.said) == 1
    assert "rank 1 on gw-node-b (10.77.23.2) does not answer for 15 seconds" in first.said[0]
    assert "rank 0 on gw-node-a (10.77.23.1) does not answer for 15 seconds" in second.said[0]
    assert (folder / "m.gatewise.checkpoint").exists()


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_machine_that_is_killed_ends_the_other(folder, launch, killed):
    pair = launch(words=LONG)
    trains(folder, *pair)
    pair[killed].kill()
    left = pair[1 - killed]
    assert ends([left]) < 45
    assert left.wait() != 0
    (line,) = left.said
    assert f"rank {killed} on {[*NODES][killed]} ({[*NODES.values()][killed]}) is gone" in line


@pytest.mark.slow
def test_both_are_started_again(folder, launch, undisturbed):
    pair = launch("--max-restarts", "2", words=SHORT)
    trains(folder, *pair)
    os.kill(pair[1].rank(1), signal.SIGKILL)
    assert [own.wait() for own in pair] == [0, 0], [own.log.read_text() for own in pair]
    assert losses(folder) == undisturbed


@pytest.mark.slow
def test_clocks_that_are_an_hour_apart_do_not_matter(folder, launch, undisturbed):
    where = ("--master-addr", NODES["gw-node-a"], "--master-port", "29401")
    pair = launch(*where, words=SHORT, **fast_clock(folder))
    assert [own.wait() for own in pair] == [0, 0], [own.log.read_text() for own in pair]
    assert losses(folder) == undisturbed
