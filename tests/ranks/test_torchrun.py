"""Real processes, as `torchrun` starts them: they train the model of one, and none outlives another."""

import json
import os
import signal
import sys
import time

import pytest

from benchmarks import faults
from benchmarks.faults import Launched, losses, one_box, text, trains

SHORT, LONG = ("--epochs", "6"), ("--epochs", "200")


@pytest.fixture
def folder(tmp_path):
    text(tmp_path)
    return tmp_path


@pytest.fixture
def launch(folder):
    """Starts something in the folder; none of it outlives the test."""
    started = []

    def start(command, **environment):
        started.append(Launched(folder, command, **environment))
        return started[-1]

    yield start
    for own in started:
        own.kill()
        own.wait()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The history of two processes that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    text(folder)
    own = Launched(folder, one_box(words=SHORT))
    assert own.wait() == 0, own.log.read_text()
    return losses(folder)


def files(folder):
    """What a training has left; the lock file of a process that was killed does not count."""
    return {path.name for path in folder.glob("*m.gatewise*")} - {".m.gatewise.lock"}


def test_two_processes_follow_the_losses_of_one(folder, launch, undisturbed):
    own = launch([sys.executable, "-m", "gatewise", *one_box(words=SHORT)[one_box().index("fit") :]])
    assert own.wait() == 0
    for one, two in zip(losses(folder), undisturbed, strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert two[name] == (pytest.approx(value, rel=1e-3) if isinstance(value, float) else value)


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_rank_that_is_killed_takes_the_other_down_with_one_line(folder, launch, rank):
    own = launch(one_box(words=LONG))
    trains(folder, own)
    began = time.monotonic()
    os.kill(own.rank(rank), signal.SIGKILL)
    assert own.wait() == 1
    assert time.monotonic() - began < 30
    (line,) = own.said
    assert f"rank {rank} on" in line
    assert "is gone (it was killed, or crashed)" in line
    assert "The last checkpoint is m.gatewise.checkpoint: add --resume" in line
    assert files(folder) == {"m.gatewise.checkpoint", "m.gatewise.metrics.jsonl"}


@pytest.mark.slow
def test_torchrun_starts_them_again_and_they_end_with_the_bits_of_an_undisturbed_run(folder, launch, undisturbed):
    own = launch(one_box("--max-restarts", "1", words=SHORT))
    trains(folder, own)
    os.kill(own.rank(1), signal.SIGKILL)
    assert own.wait() == 0
    assert "torchrun starts all processes again" in own.said[0]
    assert losses(folder) == undisturbed
    assert files(folder) == {"m.gatewise", "m.gatewise.metrics.jsonl"}


@pytest.mark.slow
def test_processes_that_are_started_again_do_not_go_on_from_another_run(folder, launch):
    """Its checkpoint is refused at every start, and stays as it is."""
    kept = folder / "m.gatewise.checkpoint"
    kept.write_bytes(b"of another run")
    own = launch(one_box("--max-restarts", "1", words=SHORT))
    assert own.wait() == 1
    assert len(own.said) == 2
    assert all("is left from an interrupted training" in line for line in own.said)
    assert kept.read_bytes() == b"of another run"


@pytest.mark.slow
def test_sigterm_stops_all_after_the_same_step(folder, launch):
    own = launch(one_box(words=LONG))
    trains(folder, own)
    os.kill(own.pid, signal.SIGTERM)
    assert own.wait() != 0
    assert files(folder) == {"m.gatewise", "m.gatewise.checkpoint", "m.gatewise.metrics.jsonl"}
    assert "interrupted after step" in own.log.read_text()
    assert not own.said
    own = launch([sys.executable, "-m", "gatewise", "info", "m.gatewise", "--json"])
    assert own.wait() == 0
    assert json.loads(own.log.read_text())


def test_processes_that_are_given_different_options_say_so_once(folder, launch):
    code, said = 0, []
    port = 20000 + os.getpid() % 10000
    pair = [faults._by_hand(folder, rank, port, "--epochs", "2", "--batch-size", str(4 + rank)) for rank in range(2)]
    for own in pair:
        code += own.wait(100)
        said += own.said
    assert code == 4
    (line,) = said
    assert "rank 1 on" in line
    assert "batch-size was 4 and is 5. Give all processes the same" in line
    assert not files(folder)


def test_a_process_that_meets_nobody_says_where_it_looked(folder, launch):
    script = folder / "script.py"
    script.write_text(
        "import sys\nfrom gatewise import ranks\nfrom gatewise.cli import main\n"
        "ranks._ARRIVAL = 3.0\nsys.exit(main())\n"
    )
    port = 20000 + os.getpid() % 10000
    own = launch(
        [sys.executable, "script.py", "fit", "generate", "a.txt"],
        RANK="1",
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    assert own.wait() == 2
    (line,) = own.said
    assert f"rank 1 of 2 met nobody at MASTER_ADDR=127.0.0.1, MASTER_PORT={port} within 3 seconds" in line


@pytest.mark.slow
def test_an_estimator_is_usable_on_every_rank(folder, launch):
    """Two fits of one program, one after the other; a rank that is not the first has no files, and the same weights."""
    (folder / "script.py").write_text(
        "import json, os\nfrom gatewise import Generator\n"
        "found = []\n"
        "for seed in range(2):\n"
        "    own = Generator(hidden_size=8, epochs=1, seed=seed, learning_rate=0.01)\n"
        "    own.fit('a.txt', output=f'{seed}.gatewise')\n"
        "    weights = [float(w.detach().double().sum()) for w in own.model_.parameters()]\n"
        "    found.append([weights, own.metrics_, ''.join(own.sample(length=20, seed=1))])\n"
        "open('found-' + os.environ['RANK'], 'w').write(json.dumps(found))\n"
    )
    own = launch([*one_box()[: one_box().index("-m", 3)], "script.py"])
    assert own.wait() == 0, own.log.read_text()
    assert (folder / "found-0").read_text() == (folder / "found-1").read_text()
    assert (folder / "0.gatewise").exists()
    assert (folder / "1.gatewise").exists()
