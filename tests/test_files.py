import errno
import fcntl
import os
import resource
import subprocess
import sys
import threading

import pytest

from gatewise.errors import OptionError
from gatewise.files import TemporaryFolder, _sweep_folders, atomic, only_run, size_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_appears_whole(tmp_path):
    target = tmp_path / "notes.txt"
    with atomic(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        temporary.write_text("all of it")
    assert target.read_text() == "all of it"
    assert names(tmp_path) == ["notes.txt"]


def test_an_old_file_is_replaced(tmp_path):
    target = tmp_path / "notes.txt"
    target.write_text("old")
    with atomic(str(target)) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize(
    "error", [ValueError("bug"), OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr
)
def test_an_interruption_keeps_the_old_file_and_leaves_no_litter(tmp_path, error):
    target = tmp_path / "notes.txt"
    target.write_text("old")

    def write():
        with atomic(target) as temporary:
            temporary.write_text("ne")
            raise error

    with pytest.raises(type(error)):
        write()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fills_up_at_the_end(tmp_path, monkeypatch, step):
    def full(*_):
        raise OSError(28, "No space left on device")

    target = tmp_path / "notes.txt"
    target.write_text("old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"), atomic(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["notes.txt"]


def test_a_real_limit_on_writing(tmp_path):
    target = tmp_path / "large"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError), atomic(target) as temporary:
            temporary.write_bytes(bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


def test_a_temporary_file_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "x") as temporary:
        temporary.unlink()
    assert names(tmp_path) == []


def test_a_missing_folder_is_an_error_before_the_block_runs(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "nowhere" / "x"):
        pytest.fail("the block ran")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)], ids=oct)
def test_permissions_are_those_of_any_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic(tmp_path / "x") as temporary:
            assert temporary.stat().st_mode & 0o777 == 0o600  # nobody else reads a half-written file
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == mode


def test_writers_at_the_same_time_do_not_mix(tmp_path):
    target = tmp_path / "x"
    contents = [str(n) * 50_000 for n in range(4)]

    def write(text):
        with atomic(target) as temporary:
            temporary.write_text(text)

    threads = [threading.Thread(target=write, args=(text,)) for text in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_text() in contents
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1234567, "1.23 MB"), (5e15, "5e+03 TB")]
)
def test_sizes_are_shown_with_three_digits(count, text):
    assert size_text(count) == text


CHILD = """
import os, sys
from gatewise import files
from pathlib import Path
what, path = sys.argv[1:]
if what == "atomic":
    with files.atomic(path) as temporary:
        temporary.write_text("half")
        print(temporary, flush=True)
        input()
elif what == "folder":
    folder = files.TemporaryFolder("test")
    Path(folder.path, "spill").write_bytes(bytes(1000))
    print(folder.path, flush=True)
    input()
else:
    with files.only_run(path):
        print(os.getpid(), flush=True)
        input()
"""


@pytest.fixture
def child(tmp_path):
    """Starts a process that has something open, and gives it with its first line of output."""
    children = []

    def start(what, path=tmp_path):
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", CHILD, what, path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "TMPDIR": str(tmp_path)},
            )
        )
        return children[-1], children[-1].stdout.readline().strip()

    yield start
    for process in children:
        process.kill()
        process.communicate()


def killed(process):
    process.kill()
    process.wait()


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path, child):
    target = tmp_path / "m.gatewise"
    dead, left = child("atomic", target)
    alive, used = child("atomic", target)
    others = [tmp_path / name for name in (".m.gatewise.notes.tmp", ".n.gatewise.0123456789ab.tmp", "m.gatewise.tmp")]
    for other in others:
        other.touch()
    killed(dead)
    with atomic(target) as temporary:
        temporary.write_text("new")
    assert not os.path.exists(left)
    assert os.path.exists(used)  # for its process is still at it
    assert all(other.exists() for other in others)
    alive.communicate("\n")
    assert target.read_text() == "half"


def test_nothing_is_swept_where_there_are_no_locks(tmp_path, child, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    target = tmp_path / "x"
    dead, left = child("atomic", target)
    killed(dead)
    with only_run(target), only_run(target), atomic(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert names(tmp_path) == sorted([os.path.basename(left), "x"])


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    real, met = fcntl.flock, []

    def late(descriptor, operation):
        if not met:
            met.append(names(tmp_path))
            os.unlink(tmp_path / met[0][0])
        real(descriptor, operation)

    monkeypatch.setattr("fcntl.flock", late)
    with atomic(tmp_path / "x") as temporary:
        temporary.write_text("new")
    assert met
    assert names(tmp_path) == ["x"]


def test_folders_of_dead_processes_are_removed_when_the_next_one_starts(tmp_path, child):
    dead, left = child("folder")
    _, used = child("folder")
    foreign = tmp_path / "gatewise-mine-abcdefgh"
    foreign.mkdir()  # has no lock of ours
    killed(dead)
    assert os.path.exists(os.path.join(left, "spill"))
    _, new = child("folder")
    assert not os.path.exists(left)
    assert os.path.exists(os.path.join(used, "spill"))
    assert foreign.exists()
    assert os.path.dirname(new) == str(tmp_path)


def test_folders_of_another_user_stay(tmp_path, monkeypatch):
    left = tmp_path / "gatewise-table-abcdefgh"
    left.mkdir()
    (left / ".lock").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    _sweep_folders.cache_clear()
    with TemporaryFolder("table"):
        assert left.exists()
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _sweep_folders.cache_clear()
    with TemporaryFolder("table") as folder:
        assert names(tmp_path) == [os.path.basename(folder)]
    assert names(tmp_path) == []


def test_a_second_run_of_the_same_output_is_refused(tmp_path, child):
    target = tmp_path / "m.gatewise"
    process, pid = child("run", target)
    with pytest.raises(OptionError) as caught, only_run(target):
        pytest.fail("the block ran")
    assert f"process {pid}" in str(caught.value)
    assert f"kill {pid}" in str(caught.value)
    with only_run(tmp_path / "n.gatewise"):
        pass
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OptionError, match="another run"), only_run(tmp_path / "link"):
        pass
    killed(process)
    assert names(tmp_path) == [".m.gatewise.lock", "link"]
    with only_run(target):  # a dead process holds nothing
        pass
    assert names(tmp_path) == ["link"]


def test_two_threads_are_two_runs(tmp_path):
    with (
        only_run(tmp_path / "m"),
        pytest.raises(OptionError, match="another run of this process"),
        only_run(tmp_path / "m"),
    ):
        pass
    assert names(tmp_path) == []


def test_a_run_on_another_machine_is_named(tmp_path, monkeypatch):
    with only_run(tmp_path / "m"):
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        with pytest.raises(OptionError, match=rf"process {os.getpid()} on (?!elsewhere)"), only_run(tmp_path / "m"):
            pass
