import os
import resource
import threading

import pytest

from gatewise.files import atomic, size_text


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
