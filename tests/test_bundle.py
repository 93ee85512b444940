import json
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from gatewise import bundle
from gatewise.errors import GatewiseError, ModelFileError

DOCUMENT = {"task": "generate", "cell": {"name": "lstm"}, "vocabulary": {"tokens": ["a", "é", "中", "\udc80"]}}
TENSORS = {
    "head.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scale": np.array(0.5),
    "none": np.zeros((0, 4), np.float16),
    "mask": np.array([True, False]),
    "ids": np.array([1, 2, 3], np.int64),
}

law = settings(derandomize=True, deadline=None, max_examples=150)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "poems.gatewise"
    bundle.save(path, DOCUMENT, TENSORS)
    return path


def refusal(path, read=bundle.load):
    with pytest.raises(ModelFileError) as caught:
        read(path)
    message = str(caught.value)
    assert os.fspath(path) in message
    assert "\n" not in message
    return message


def raw(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def assert_same(got, want):
    assert set(got) == set(want)
    for name, tensor in want.items():
        np.testing.assert_array_equal(got[name], tensor)
        assert (got[name].dtype, got[name].shape) == (tensor.dtype, tensor.shape)


def test_what_was_saved_is_loaded(path):
    loaded = bundle.load(path)
    assert {k: v for k, v in loaded.document.items() if k != "sha256"} == DOCUMENT | {"format": 1}
    assert_same(loaded.tensors, TENSORS)
    loaded.tensors["head.weight"][0, 0] = 9  # the caller's own


def test_the_file_is_standard_safetensors(path):
    assert_same(load_file(path), TENSORS)


def test_the_same_model_is_the_same_file(path, tmp_path):
    bundle.save(tmp_path / "again", DOCUMENT, dict(reversed(TENSORS.items())))
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_loaded_model_can_be_saved_again(path, tmp_path):
    loaded = bundle.load(path)
    bundle.save(tmp_path / "again", loaded.document, loaded.tensors)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_model_may_have_no_tensors(tmp_path):
    bundle.save(tmp_path / "m", {"task": "none"}, {})
    assert bundle.load(tmp_path / "m").tensors == {}


@pytest.mark.parametrize(
    "array",
    [np.arange(6.0).reshape(2, 3).T, np.arange(8)[::2], np.arange(3, dtype=">i4"), np.asfortranarray(np.eye(3))],
    ids=["transposed", "strided", "big-endian", "fortran"],
)
def test_memory_layout_does_not_matter(tmp_path, array):
    bundle.save(tmp_path / "m", {}, {"x": array})
    np.testing.assert_array_equal(bundle.load(tmp_path / "m").tensors["x"], array)


def test_numpy_values_and_nan_in_the_document_are_made_plain(tmp_path):
    document = {"loss": np.float32(1.5), "steps": np.int64(3), "sizes": (1, 2), "bad": float("nan"), "a": np.arange(2)}
    bundle.save(tmp_path / "m", document, {})
    got = bundle.read_header(tmp_path / "m").document
    assert got | {"sha256": 0} == {
        "loss": 1.5, "steps": 3, "sizes": [1, 2], "bad": None, "a": [0, 1], "format": 1, "sha256": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("document", "tensors", "said"),
    [
        ({"training": {"who": object()}}, {}, "document.training.who: a object has no JSON form"),
        ({"merges": [{3: "x"}]}, {}, "document.merges[0]: its key 3 is not a string"),
        ({}, {"x": np.array(["text"])}, "tensor 'x' of type <U4"),
        ({}, {"x": np.array([1j])}, "tensor 'x' of type complex128"),
        ({}, {"__metadata__": np.zeros(1)}, "safetensors reserves that name"),
    ],
)
def test_what_cannot_be_stored_is_named_and_nothing_is_written(tmp_path, document, tensors, said):
    with pytest.raises(ModelFileError) as caught:
        bundle.save(tmp_path / "m", document, tensors)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_header_is_read_without_the_numbers(path):
    header = bundle.read_header(path)
    assert header.document == bundle.load(path).document == bundle.read_header(path).document
    assert header.tensors["head.weight"] == ("F32", (2, 3))
    assert (header.values, header.bytes) == (12, 6 * 4 + 8 + 2 + 3 * 8)


def test_changed_numbers_are_found(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "digest does not match" in refusal(path)


def test_a_changed_document_is_found(path):
    path.write_bytes(path.read_bytes().replace(b"generate", b"classify"))
    assert "digest does not match" in refusal(path)


def test_a_model_without_a_digest_is_refused(path):
    save_file(TENSORS, path, metadata={"gatewise": json.dumps(DOCUMENT | {"format": 1})})
    assert "digest does not match" in refusal(path)


def test_a_newer_format_is_refused_before_anything_else(path):
    save_file(TENSORS, path, metadata={"gatewise": '{"format": 7}'})
    said = "written by a newer Gatewise (format 7, this one reads up to 3). Upgrade: pip install -U gatewise"
    assert said in refusal(path)
    assert said in refusal(path, bundle.read_header)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x08\x00\x00", "cut off: it has only 3 bytes"),
        (raw({})[:-1], "cut off: its header alone needs 10 bytes, but the file has 9"),
        (b"To be, or not to be, that is the question\n", "looks like text"),
        ("日本語のテキスト".encode(), "looks like text"),
        (b"\xff\xfet\x00e\x00x\x00t\x00s\x00!\x00", "looks like text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "looks like a PNG image"),
        (b"\x08\x09\x12\x07pytorch" + bytes(30), "looks like an ONNX file"),
        (b"PK\x03\x04" + bytes(30), "a PyTorch checkpoint or another zip archive"),
        (pickle.dumps({"a": 1}), "a Python pickle"),
        (pickle.dumps({"a": 1}, protocol=2), "a Python pickle, as older PyTorch files are"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (bytes(range(128, 228)), "binary data of an unknown kind (it starts with 80 81"),
        (struct.pack("<Q", 2**63) + b"{}", "its header claims to have 9223372036854775808 bytes"),
        (raw(b"{" * 50), "its header is not valid JSON"),
        (raw(b"{\xff}"), "its header is not valid JSON"),
        (raw(b'{"a":' * 100_000), "its header is not valid JSON"),
        (
            raw({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
            "with 1 tensors but no Gatewise",
        ),
        (raw({"__metadata__": {"format": "pt"}}), "with 0 tensors but no Gatewise"),
        (raw({"__metadata__": [1]}), "no Gatewise document"),
        (raw({"__metadata__": {"gatewise": 3}}), "no Gatewise document"),
        (raw({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}), "tensors need 4 bytes, but it has 0"),
        (raw({"x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4)), "describes tensor 'x' as"),
        (raw({"x": "y" * 200}), "describes tensor 'x' as"),
        (raw({"__metadata__": {"gatewise": "{}"}}, b"more"), "there are 4 bytes after its last tensor"),
        (raw({"__metadata__": {"gatewise": "{oops"}}), "its Gatewise document is not valid JSON"),
        (raw({"__metadata__": {"gatewise": '{"format": NaN}'}}), "its Gatewise document is not valid JSON"),
        (raw({"__metadata__": {"gatewise": '{"format": 1, "loss": 1e999}'}}), "document is not valid JSON (1e999"),
        (
            raw({"__metadata__": {"gatewise": '{"task": "tag", "task": "x"}'}}),
            "is not valid JSON (a key stands there twice)",
        ),
        (raw({"__metadata__": {"gatewise": '{"a":' * 101 + "1" + "}" * 101}}), "document is nested more than 100 deep"),
        (raw({"__metadata__": {"gatewise": '{"a":' + "[" * 300 + "]" * 300 + "}"}}), "nested more than 100 deep"),
        (raw({"__metadata__": {"gatewise": '{"a":' * 100 + "1" + "}" * 100}}), "gives its format as null"),
        (raw(b'{"x": 1, "x": 2}'), "its header is not valid JSON (a key stands there twice)"),
        (raw({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)), "[2] does not fit its place"),
        (raw({"x": {"dtype": "F8", "shape": [2**60] * 5000, "data_offsets": [0, 4]}}, bytes(4)), "not fit its place"),
        (
            raw({name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for name in "xy"}, bytes(4)),
            "its tensors overlap, or leave gaps",
        ),
        (raw({"x": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}, bytes(4)), "overlap, or leave gaps"),
        (raw({"__metadata__": {"gatewise": "[1]"}}), "is a JSON list, not an object"),
        (raw({"__metadata__": {"gatewise": "{}"}}), "gives its format as null"),
        (raw({"__metadata__": {"gatewise": '{"format": true}'}}), "gives its format as true"),
        (raw({"__metadata__": {"gatewise": '{"format": "1"}'}}), 'gives its format as "1"'),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_every_foreign_or_damaged_file_is_named_for_what_it_is(tmp_path, content, said):
    path = tmp_path / "strange"
    path.write_bytes(content)
    assert said in refusal(path)
    assert said in refusal(path, bundle.read_header)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value, dtype):
    weights = np.zeros((3, 4), dtype)
    weights[1, 2] = value
    bundle.save(tmp_path / "m", DOCUMENT, {**TENSORS, "head.bias": weights})
    assert "holds weights that are not numbers: 'head.bias' has NaN or infinity" in refusal(tmp_path / "m")


def test_a_type_that_numpy_lacks_is_named(tmp_path):
    header = {
        "x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "__metadata__": {"gatewise": '{"format": 1}'},
    }
    (tmp_path / "m").write_bytes(raw(header, bytes(4)))
    assert "tensor 'x' of type BF16" in refusal(tmp_path / "m")


def test_an_absurd_header_length_allocates_nothing(tmp_path):
    (tmp_path / "m").write_bytes(struct.pack("<Q", 99_000_000) + b"{}")
    tracemalloc.start()
    try:
        refusal(tmp_path / "m")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_missing_file_suggests_its_neighbour(path):
    assert f"Did you mean '{path}'?" in refusal(path.with_name("poem.gatewise"))
    assert "Check the path." in refusal(path.with_name("zzz"))
    assert "there is no file" in refusal(path / "inside")
    assert "there is no file" in refusal(path.parent / "nowhere" / "x")
    assert "there is no file" in refusal(str(path) + "\0")


def test_a_folder_and_a_pipe_are_refused(tmp_path):
    assert "is a folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is a device or a pipe" in refusal(tmp_path / "pipe")  # reading it would wait for ever


def test_a_full_disk_is_one_line_and_keeps_the_old_model(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in refusal(path, lambda p: bundle.save(p, {}, {}))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "m"
    bundle.save(path, DOCUMENT, TENSORS)
    return path.read_bytes(), path.with_name("fuzzed")


def loads_equal_or_is_refused(content, path):
    path.write_bytes(content)
    try:
        loaded = bundle.load(path)
    except GatewiseError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert loaded.document | {"sha256": 0} == DOCUMENT | {"format": 1, "sha256": 0}
        assert_same(loaded.tensors, TENSORS)


@law
@given(st.data())
def test_any_bytes_changed_anywhere(good, data):
    content, path = bytearray(good[0]), good[1]
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        # Half of the changes in the header, which is where parsers break.
        at = data.draw(st.one_of(st.integers(0, header), st.integers(0, len(content) - 1)))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    loads_equal_or_is_refused(content, path)


@law
@given(st.data())
def test_cut_off_anywhere(good, data):
    loads_equal_or_is_refused(good[0][: data.draw(st.integers(0, len(good[0])))], good[1])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "I4", "", 3]),
        "shape": st.lists(st.integers(-1, 2**64), max_size=3) | json_values,
        "data_offsets": st.lists(st.integers(-1, 16) | st.booleans(), max_size=3) | json_values,
    }
)


@law
@given(
    header=st.dictionaries(st.sampled_from(["x", "y", ""]), entries | json_values, max_size=2),
    document=json_values | st.dictionaries(st.just("format"), st.just(1)),
    data=st.binary(max_size=16),
)
def test_any_header_that_is_json(good, header, document, data):
    header["__metadata__"] = {"gatewise": json.dumps(document)}
    good[1].write_bytes(raw(header, data))
    with pytest.raises(ModelFileError):
        bundle.load(good[1])


def test_writable_leaves_nothing_behind(tmp_path):
    bundle.writable(tmp_path / "new", force=False)
    assert list(tmp_path.iterdir()) == []


def test_writable_asks_for_force_before_replacing(path):
    said = refusal(path, lambda p: bundle.writable(p, force=False))
    assert said == f"'{path}' exists. Pass --force to replace it, or name another file."
    before = path.read_bytes()
    bundle.writable(path, force=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is a folder"),
        ("new/", "is a folder"),
        ("nowhere/new", "there is no folder"),
        ("file/new", "there is no folder"),
        ("n" * 250, "File name too long"),  # the temporary name beside it is longer still
        ("nul\0", "embedded null byte"),
    ],
)
def test_writable_refuses(tmp_path, name, said, force):
    (tmp_path / "file").touch()
    assert said in refusal(f"{tmp_path}/{name}", lambda p: bundle.writable(p, force))


def test_writable_never_replaces_a_device():
    assert "is a device or a pipe" in refusal("/dev/null", lambda p: bundle.writable(p, force=True))


def test_writable_finds_a_folder_that_refuses_files(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(bundle.tempfile, "NamedTemporaryFile", refuse)  # root may write anywhere, so no chmod here
    assert "Permission denied" in refusal(tmp_path / "m", lambda p: bundle.writable(p, False))
