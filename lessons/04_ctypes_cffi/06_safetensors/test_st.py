"""Checks of ct-safetensors: agreement with the wheel, then files that lie, then who keeps the mapping alive."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutor.core.finding import Finding
from tutor.worker.defects import Defects
from tutor.worker.places import find_symbol, learner_place

LIMIT = 100_000_000
NUMPY = ["?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8", "<c8"]
SIZES = {"F32": 4, "U8": 1, "F64": 8, "BF16": 2, "BOOL": 1, "I64": 8}


def blob(header, data=b"", length=None):
    """A file: `header` as an object or as bytes, `length` where the first eight bytes should lie."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length % 2**64) + text + data


def info(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    """The entry of a tensor."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def raw(dtype="F32", shape="[2]", offsets="[0, 8]", more=""):
    """A header with one tensor, of JSON texts."""
    return f'{{"w": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}{more}}}}}'.encode()


@pytest.fixture
def write(tmp_path):
    """Writes a file with a name of its own and returns the path."""
    numbers = iter(range(10**9))

    def make(content):
        path = tmp_path / f"model-{next(numbers)}.safetensors"
        path.write_bytes(content)
        return path

    return make


@pytest.fixture
def sample(write, rng):
    """(path, tensors): three tensors as the wheel writes them."""
    from safetensors.numpy import save

    tensors = {
        "embed": rng.standard_normal((50, 64)).astype(np.float32),
        "bias": rng.standard_normal(64).astype(np.float16),
        "steps": rng.integers(-(2**62), 2**62, 9),
    }
    return write(save(tensors, {"format": "np"})), tensors


def mappings(path):
    """(first, last + 1) address of each mapping of the file in this process."""
    name, found = os.path.realpath(path), []
    for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == name:
            found.append(tuple(int(address, 16) for address in fields[0].split("-")))
    return found


def in_file(array, path):
    """Whether the array's memory is a mapping of the file."""
    first = array.ctypes.data
    return any(low <= first and first + array.nbytes <= high for low, high in mappings(path))


def same(got, want, what):
    assert isinstance(got, np.ndarray), f"{what}: got {type(got).__name__}, want an array"
    assert got.dtype == want.dtype, f"{what}: dtype {got.dtype}, want {want.dtype}"
    assert got.shape == want.shape, f"{what}: shape {got.shape}, want {want.shape}"
    assert got.tobytes() == want.tobytes(), f"{what}: the values differ"


def learner_line(error, artifact):
    """The last line of st.py in the traceback."""
    found, step = None, error.__traceback__
    while step is not None:
        found = learner_place(artifact, step.tb_frame.f_code.co_filename, step.tb_lineno) or found
        step = step.tb_next
    return found.line if found else None


def refused(built, artifact, path, what):
    """The file must be told apart at opening, with FormatError."""
    try:
        weights = built.Weights(path)
    except built.FormatError:
        return
    except Exception as error:  # whatever else comes is the finding
        text = f"{what}: {type(error).__name__}: {str(error)[:80]}; a caller that expects FormatError crashes"
        raise Defects(Finding("error-path", text, "st.py", learner_line(error, artifact))) from error
    names = list(weights)
    raise AssertionError(f"{what}: the file was opened as if it were right, with tensors {names}: want FormatError")


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.finds("wrong-result", at="__getitem__")
def test_tensors_are_those_that_the_wheel_wrote(built, write, data):
    from safetensors.numpy import save

    names = data.draw(st.lists(st.text("abc.ü東0", max_size=6), max_size=6, unique=True))
    tensors, seed = {}, data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    for name in names:
        dtype = np.dtype(data.draw(st.sampled_from(NUMPY)))
        shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4)))
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        values = rng.integers(0, 2 if dtype.kind == "b" else 256, size, dtype=np.uint8)
        tensors[name] = np.frombuffer(values.tobytes(), dtype).reshape(shape)
    metadata = data.draw(st.dictionaries(st.text("ab", max_size=2), st.text("xyü", max_size=3), max_size=3))
    weights = built.Weights(write(save(tensors, metadata or None)))
    assert set(weights) == set(tensors), f"names {sorted(weights)}, want {sorted(tensors)}"
    assert len(weights) == len(tensors), f"len() is {len(weights)}, want {len(tensors)}"
    assert weights.metadata == metadata, f"metadata {weights.metadata}, want {metadata}"
    for name, want in tensors.items():
        same(weights[name], want, repr(name))


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.finds("wrong-result", at="check_ranges")
def test_takes_what_the_wheel_takes(built, write, data):
    """Tensors end to end in any order, then up to two numbers changed."""
    from safetensors import SafetensorError, deserialize

    header, at = {}, 0
    for number in range(data.draw(st.integers(1, 4))):
        dtype = data.draw(st.sampled_from(sorted(SIZES)))
        shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
        end = at + int(np.prod(shape, dtype=np.int64)) * SIZES[dtype]
        header[f"t{number}"] = info(dtype, shape, (at, end))
        at = end
    for _ in range(data.draw(st.integers(0, 2))):
        entry = header[data.draw(st.sampled_from(sorted(header)))]
        where = data.draw(st.sampled_from([key for key in ("shape", "data_offsets") if entry[key]]))
        index = data.draw(st.integers(0, len(entry[where]) - 1))
        entry[where][index] += data.draw(st.sampled_from([-8, -4, -1, 1, 2, 4, 8]))
    names = data.draw(st.permutations(sorted(header)))
    size = max(0, at + data.draw(st.sampled_from([0, 0, 0, 1, -1])))
    content = blob({name: header[name] for name in names}, bytes(size))
    try:
        deserialize(content)
        wanted = True
    except SafetensorError:
        wanted = False
    try:
        taken, why = dict(built.Weights(write(content))), ""
    except built.FormatError as error:
        taken, why = None, f": {error}"
    verb = "takes" if wanted else "refuses"
    assert (taken is not None) == wanted, f"the safetensors wheel {verb} {content[8:].rstrip(bytes(1))!r}{why}"


@pytest.mark.finds("dtype", at="DTYPES")
@pytest.mark.parametrize(
    ("dtype", "want"), [("BF16", "<u2"), ("F8_E4M3", "u1"), ("F8_E5M2", "u1"), ("C64", "<c8"), ("BOOL", "?")]
)
def test_bits_of_types_that_numpy_lacks(built, write, rng, dtype, want):
    kind = np.dtype(want)
    values = rng.integers(0, 2, 6 * kind.itemsize, dtype=np.uint8)
    path = write(blob({"w": info(dtype, (2, 3), (0, values.size))}, values.tobytes()))
    same(built.Weights(path)["w"], values.view(kind).reshape(2, 3), dtype)


@pytest.mark.finds("layout", at="__getitem__")
@pytest.mark.parametrize("shift", range(8))
def test_any_alignment_is_read_in_place(built, write, rng, shift):
    want = rng.standard_normal(5)
    header = {"pad": info("U8", (3,), (0, 3)), "w": info("F64", (5,), (3, 43))}
    text = json.dumps(header).encode() + b" " * shift
    path = write(blob(text, b"xyz" + want.tobytes()))
    try:
        got = built.Weights(path)["w"]
    except (ValueError, TypeError) as error:
        raise AssertionError(f"float64 at address {(8 + len(text) + 3) % 8} modulo 8: {error}") from error
    same(got, want, f"float64 at address {(8 + len(text) + 3) % 8} modulo 8")
    mapped = in_file(got, path)
    assert mapped, "an array that isn't aligned was copied"


@pytest.mark.finds("out-of-bounds", at="header_bytes")
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty file"),
        (b"\x02\0\0\0\0\0\0", "seven bytes"),
        (blob(b"", length=0), "a header of no bytes"),
        (blob(b"{}", length=3), "a length one beyond the file's end"),
        (blob(b"{}", length=10), "a length that leaves the eight bytes out of account"),
        (blob(b"{}", length=2**40), "a length of 2**40"),
        (blob(b"{}", length=2**63 + 2), "a length of 2**63 + 2"),
        (blob(raw(), bytes(8), length=-1), "a length of 2**64 - 1"),
        (blob(raw(), bytes(8), length=-16), "a length of 2**64 - 16"),  # signed: up to 8 bytes before the file's end
    ],
)
def test_the_length_is_compared_with_the_file(built, artifact, write, content, what):
    refused(built, artifact, write(content), what)


@pytest.mark.finds("hidden-copy", at="header_bytes")
def test_a_header_beyond_the_limit_is_not_read(built, artifact, write, memory):
    """It is there, in full, and it is JSON: only its size is wrong."""
    path = write(struct.pack("<Q", LIMIT + 1) + raw())
    with open(path, "ab") as file:
        for part in range(0, LIMIT + 1 - len(raw()), 1 << 20):
            file.write(b" " * min(1 << 20, LIMIT + 1 - len(raw()) - part))
        file.write(bytes(8))
    _, peak = memory.peak(refused, built, artifact, path, f"a header of {LIMIT + 1} bytes")
    path.unlink()
    assert peak < 20e6, f"{peak / 1e6:.0f} MB were taken before a header of {LIMIT + 1} bytes was refused"


@pytest.mark.finds("wrong-result", at="parse_header")
@pytest.mark.parametrize(
    ("text", "data", "what"),
    [
        (b"[]", 0, "a header that is a list"),
        (b"null", 0, "a header that is null"),
        (b'"w"', 0, "a header that is a text"),
        (b"7", 0, "a header that is a number"),
        (raw()[:-1], 8, "a header that lacks its last brace"),
        (raw() + b"\0\0", 8, "a header padded with zeros"),
        (raw() + b"{}", 8, "a header with something behind it"),
        (raw().replace(b"w", b"\xff"), 8, "a header that is not UTF-8"),
        (b"\xef\xbb\xbf" + raw(), 8, "a header with a byte order mark"),
        (raw().replace(b"w", b"w\n"), 8, "a line break inside a text"),
        (raw().decode().encode("utf-16-le"), 8, "a header in UTF-16"),
        (raw().decode().encode("utf-32-le"), 8, "a header in UTF-32"),
        (raw(more=', "note": NaN'), 8, "NaN in the header"),
        (raw(more=', "note": -Infinity'), 8, "-Infinity in the header"),
        (b'{"w": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 0, "a header nested 100,000 deep"),
        (raw("F32", "[" + "9" * 5000 + "]"), 8, "a dimension of 5000 digits"),
    ],
)
def test_the_header_is_json_and_an_object(built, artifact, write, text, data, what):
    refused(built, artifact, write(blob(text, bytes(data))), what)


@pytest.mark.finds("error-path", at="def __init__")
@pytest.mark.parametrize("what", ["no file", "a folder", "a folder that is not there"])
def test_a_file_that_cannot_be_opened_is_an_oserror(built, tmp_path, what):
    """It says nothing of the content: a caller may try again, or look elsewhere."""
    path = {"no file": tmp_path / "no", "a folder": tmp_path, "a folder that is not there": tmp_path / "no" / "no"}[
        what
    ]
    try:
        built.Weights(path)
    except OSError:
        return
    except (ValueError, TypeError, LookupError) as error:
        raise AssertionError(f"{what}: want OSError, got {type(error).__name__}: {error}") from None
    raise AssertionError(f"{what}: want OSError, and it was opened")


@pytest.mark.finds("wrong-result", at="parse_header")
@pytest.mark.parametrize("place", ["tensor", "field", "metadata", "escaped"])
def test_a_key_occurs_once(built, artifact, write, place):
    text = {
        "tensor": raw()[:-1] + b", " + raw()[1:],
        "field": raw(more=', "shape": [2]'),
        "metadata": b'{"__metadata__": {"a": "1", "a": "2"}, ' + raw()[1:],
        "escaped": raw()[:-1] + b", " + raw()[1:].replace(b'"w"', b'"\\u0077"'),
    }[place]
    refused(built, artifact, write(blob(text, bytes(8))), f"a key that occurs twice ({place}): {text.decode():.150}")


@pytest.mark.finds("dtype", at="read_entry")
@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (info("F31"), "dtype F31"),
        (info("f32"), "dtype f32"),
        (info(""), "an empty dtype"),
        (info("float32"), "dtype float32"),
        (info(None), "dtype null"),
        (info(["F32"]), "a list for a dtype"),
        (info({}), "an object for a dtype"),
        (info(32), "a number for a dtype"),
        (info(shape=[2.0]), "a dimension of 2.0"),
        (info(shape=["2"]), "a text for a dimension"),
        (info(shape=[True, 2]), "`true` for a dimension"),
        (info(shape=[None]), "null for a dimension"),
        (info(shape=[[2]]), "a list for a dimension"),
        (info(shape=[-1, -2]), "negative dimensions whose product is right"),
        (info(shape=[-2], offsets=[8, 0]), "a negative dimension and offsets that go backwards"),
        (info(offsets=[0.0, 8.0]), "offsets that are no integers"),
        (info("U8", [], [False, True]), "`true` for an offset"),
        (info(offsets=["0", "8"]), "texts for offsets"),
        (info(offsets=[0, 8, 8]), "three offsets"),
        (info(offsets=[8]), "one offset"),
        (info(offsets=[]), "no offsets"),
        (info(offsets=[-8, 0]), "a negative offset"),
        (info() | {"shape": 2}, "a number for a shape"),
        (info() | {"shape": None}, "null for a shape"),
        (info() | {"shape": "2"}, "a text for a shape"),
        (info() | {"shape": {"2": 1}}, "an object for a shape"),
        (info() | {"data_offsets": 8}, "a number for offsets"),
        (info() | {"data_offsets": {"0": 0, "8": 8}}, "an object for offsets"),
        (None, "null for a tensor"),
        ([], "a list for a tensor"),
        ("F32", "a text for a tensor"),
        ({}, "a tensor of no fields"),
    ],
)
def test_types_in_an_entry_are_checked(built, artifact, write, entry, what):
    refused(built, artifact, write(blob({"w": entry}, bytes(8))), what)


@pytest.mark.finds("wrong-result", at="read_entry")
@pytest.mark.parametrize("missing", ["dtype", "shape", "data_offsets"])
def test_a_missing_field_is_told(built, artifact, write, missing):
    entry = {key: value for key, value in info().items() if key != missing}
    refused(built, artifact, write(blob({"w": entry}, bytes(8))), f"a tensor without {missing}")


@pytest.mark.finds("wrong-result", at="read_metadata")
@pytest.mark.parametrize("value", [[], "text", 3, {"a": 1}, {"a": None}, {"a": ["b"]}, {"a": {"b": "c"}}])
def test_metadata_maps_texts_to_texts(built, artifact, write, value):
    refused(built, artifact, write(blob({"__metadata__": value})), f"__metadata__ {value}")


@pytest.mark.finds("out-of-bounds", at="read_entry")
@pytest.mark.parametrize(
    ("dtype", "shape", "offsets", "what"),
    [
        ("F32", [2], (0, 4), "bytes for half the shape"),
        ("F32", [1], (0, 8), "bytes for twice the shape"),
        ("F32", [], (0, 8), "eight bytes for a float32"),
        ("U8", [0], (0, 8), "eight bytes for a shape of no elements"),
        ("F32", [2**32, 2**32], (0, 0), "a product of 2**64 elements"),
        ("F32", [2**62 + 2], (0, 8), "2**64 + 8 bytes"),
        ("F64", [2**61 + 1], (0, 8), "2**64 + 8 bytes of float64"),
        ("U8", [2**33, 2**31 + 1, 2**33], (0, 0), "a product of more than 2**96"),
        ("U8", [3, (2**64 + 8) // 3], (0, 8), "a product of 2**64 + 8"),
        ("U8", [2**63], (0, 8), "a dimension of 2**63"),
        ("U8", [2**64 + 8], (0, 8), "a dimension of 2**64 + 8"),
        ("U8", [10**40], (0, 8), "a dimension of 10**40"),
        ("F32", [0, 2**62], (0, 0), "no elements in a shape of 2**64 bytes"),
        ("F32", [2**62, 2**5, 0], (0, 0), "no elements in a shape of 2**69 bytes"),
        ("U8", [0, 2**63], (0, 0), "no elements and a dimension of 2**63"),
        ("U8", [8], (2**64, 2**64 + 8), "offsets of 2**64 and more"),
    ],
)
def test_bytes_are_shape_times_dtype(built, artifact, write, dtype, shape, offsets, what):
    entry = info(dtype, shape, offsets)
    size = offsets[1] if offsets[1] <= 8 else 8
    refused(built, artifact, write(blob({"w": entry}, bytes(size))), f"{what}: {entry}")


RANGES = {
    "a tensor past the end": ({"a": (0, 8), "b": (8, 16)}, 12),
    "a tensor that begins past the end": ({"a": (0, 8), "b": (100, 108)}, 16),
    "offsets from the file's start": ({"a": (60, 68)}, 8),
}
GAPS = {
    "an overlap of four bytes": ({"a": (0, 8), "b": (4, 12)}, 12),
    "one byte of overlap": ({"a": (0, 8), "b": (7, 15)}, 15),
    "the same bytes twice": ({"a": (0, 8), "b": (0, 8)}, 8),
    "a tensor inside another": ({"a": (0, 16), "b": (4, 12)}, 16),
    "an overlap that a hole makes up for": ({"a": (0, 8), "b": (4, 12), "c": (16, 24)}, 24),
    "an overlap that the sum of sizes hides": ({"a": (0, 8), "b": (0, 8)}, 16),
    "a hole of four bytes": ({"a": (0, 8), "b": (12, 20)}, 20),
    "a hole before the first": ({"a": (4, 12)}, 12),
    "a byte behind the last": ({"a": (0, 8)}, 9),
    "bytes of no tensor": ({}, 4),
    "no bytes at all inside another": ({"a": (0, 8), "b": (4, 4)}, 8),
    "no bytes at all behind a hole": ({"a": (0, 8), "b": (12, 12)}, 12),
}


def with_ranges(ranges, size, backwards):
    """A file of uint8 tensors at these ranges."""
    rows = reversed(ranges.items()) if backwards else ranges.items()
    return blob({name: info("U8", (end - begin,), (begin, end)) for name, (begin, end) in rows}, bytes(size))


@pytest.mark.finds("out-of-bounds", at="check_ranges")
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("what", RANGES)
def test_no_tensor_reaches_past_the_end(built, artifact, write, what, backwards):
    ranges, size = RANGES[what]
    refused(built, artifact, write(with_ranges(ranges, size, backwards)), f"{what}, {ranges} of {size} bytes")


@pytest.mark.finds("wrong-result", at="check_ranges")
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("what", GAPS)
def test_tensors_cover_the_file_end_to_end(built, artifact, write, what, backwards):
    ranges, size = GAPS[what]
    refused(built, artifact, write(with_ranges(ranges, size, backwards)), f"{what}, {ranges} of {size} bytes")


@pytest.mark.finds("wrong-result", at="check_ranges")
@pytest.mark.parametrize(
    "ranges",
    [
        {"b": (8, 16), "a": (0, 8)},
        {"a": (0, 8), "none": (0, 0)},
        {"none": (8, 8), "a": (0, 8), "b": (8, 16), "zero": (8, 8), "end": (16, 16)},
        {"x": (0, 0), "y": (0, 0)},
        {},
    ],
)
def test_the_headers_order_means_nothing(built, write, ranges):
    size = max((end for _, end in ranges.values()), default=0)
    path = write(with_ranges(ranges, size, False))
    try:
        shapes = {name: array.shape for name, array in built.Weights(path).items()}
    except built.FormatError as error:
        raise AssertionError(f"tensors at {ranges} of {size} bytes are right, FormatError came: {error}") from error
    assert shapes == {name: (end - begin,) for name, (begin, end) in ranges.items()}


@pytest.mark.finds("wrong-result", at="parse_header")
@pytest.mark.parametrize("text", [raw() + b"   ", raw(more=', "note": [1.5, null]'), raw().replace(b'"w"', b'""')])
def test_what_the_format_allows_is_taken(built, write, text):
    data = np.float32([1.5, -2])
    try:
        got = dict(built.Weights(write(blob(text, data.tobytes()))))
    except built.FormatError as error:
        raise AssertionError(f"{text.decode()!r} is right, FormatError came: {error}") from error
    (array,) = got.values()
    same(array, data, text.decode())


@pytest.mark.finds("error-path", at="class Weights")
def test_damaged_files_raise_format_error_or_open(built, artifact, sample, write, rng):
    content = sample[0].read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    for turn in range(400):
        bad = bytearray(content)
        if turn % 4 == 0:
            del bad[int(rng.integers(len(bad))) :]
        for _ in range(int(rng.integers(1, 4))):
            if len(bad) > 0:
                bad[int(rng.integers(min(header, len(bad))))] = int(rng.choice(list(b'0123456789-,:{}[]"e. F\xff\0')))
        path = write(bytes(bad))
        try:
            for array in built.Weights(path).values():
                array.tobytes()
        except built.FormatError:
            pass
        except Exception as error:  # whatever else comes is the finding
            text = f"{type(error).__name__} for a damaged file: {error}; {bytes(bad[:header])!r:.300}"
            raise Defects(Finding("error-path", text, "st.py", learner_line(error, artifact))) from error
        path.unlink()


@pytest.mark.finds("hidden-copy", at="__getitem__")
def test_arrays_are_the_files_own_pages(built, sample):
    path, tensors = sample
    weights = built.Weights(str(path))
    for name, want in tensors.items():
        array = weights[name]
        same(array, want, name)
        mapped = in_file(array, path)
        assert mapped, f"{name}: the array is not in a mapping of the file, so its bytes were copied"


@pytest.mark.finds("hidden-copy", at="class Weights")
def test_nothing_but_the_header_is_touched(built, tmp_path, memory):
    size = 400_000_000
    path = tmp_path / "large.safetensors"
    path.write_bytes(blob({"large": info("U8", (size,), (0, size)), "w": info(offsets=(size, size + 8))}))
    os.truncate(path, path.stat().st_size + size + 8)  # a file of 400 MB that takes no room

    def look():
        weights = built.Weights(path)
        return weights["large"][7], weights["w"].sum(), weights["large"].shape

    got, peak = memory.peak(look)
    if got != (0, 0, (size,)):
        raise Defects(Finding("wrong-result", f"a file of zeros: (byte, sum, shape) is {got}, want (0, 0, ({size},))"))
    assert peak < 40e6, f"{peak / 1e6:.0f} MB became resident to look at nine bytes of a file of 400 MB"


@pytest.mark.finds("layout", at="__getitem__")
def test_weights_can_not_be_written_to(built, sample):
    path, tensors = sample
    before = path.read_bytes()
    for name in tensors:
        array = built.Weights(path)[name]
        try:
            array[...] = 0
        except ValueError:
            continue
        changed = "and the file has changed" if path.read_bytes() != before else "on pages of this process's own"
        raise AssertionError(f"{name} could be written to, {changed}: weights are shared, map them read-only")


WAYS = ["dropped", "closed", "left"]


def leave(weights, way):
    """End a Weights object in one of three ways."""
    if way == "closed":
        weights.close()
    elif way == "left":
        with weights:
            pass


@pytest.mark.finds("lifetime", at="close")
@pytest.mark.parametrize("way", WAYS)
def test_arrays_keep_the_mapping_alive(built, artifact, sample, way):
    path, tensors = sample
    weights = built.Weights(path)
    arrays = {name: weights[name] for name in tensors}
    slices = arrays["embed"][3:9]
    try:
        leave(weights, way)
    except BufferError as error:
        text = f"close() raises while somebody holds an array: {error}"
        raise Defects(Finding("lifetime", text, "st.py", learner_line(error, artifact))) from error
    del weights
    gc.collect()
    # Asked of the kernel first: to read such an array, or let an assert show it, is a crash.
    lost = [name for name, array in arrays.items() if not in_file(array, path)]
    if lost:
        text = f"the Weights object was {way}, and {', '.join(lost)} point at memory that is no longer mapped"
        place = find_symbol(artifact, "__getitem__" if way == "dropped" else "close")
        raise Defects(Finding("lifetime", text, "st.py", place.line if place else None))
    for name, array in arrays.items():
        same(array, tensors[name], f"{name} after the Weights object was {way}")
    del arrays, array
    gc.collect()
    mapped = in_file(slices, path)
    assert mapped, "a slice points at memory that is no longer mapped"
    same(slices, tensors["embed"][3:9], "a slice, after the array it was made of")


@pytest.mark.finds("memory-leak", at="class Weights")
@pytest.mark.parametrize("way", WAYS)
def test_the_last_owner_unmaps(built, sample, way):
    path, tensors = sample
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        weights = built.Weights(path)
        arrays = [weights[name] for name in tensors]
        del arrays
        leave(weights, way)
        if way == "dropped":
            del weights
        gc.collect()
    left = len(mappings(path))
    assert left == 0, f"five Weights objects were {way}, no array is left, and the file is still mapped {left} times"
    more = len(os.listdir("/proc/self/fd")) - descriptors
    assert more == 0, f"five Weights objects were {way} and {more} descriptors are still open"


@pytest.mark.finds("memory-leak", at="class Weights")
def test_a_refused_file_is_given_back(built, write):
    descriptors = len(os.listdir("/proc/self/fd"))
    paths = [write(blob(text, bytes(4))) for text in (raw(), b"{", raw("F31"), raw(offsets="[4, 12]"), b"{}") * 3]
    paths += [write(b""), write(b"123"), write(blob(b"{}", length=99))]
    for path in paths:
        with contextlib.suppress(Exception):
            built.Weights(path)
    gc.collect()
    left = sum(len(mappings(path)) for path in paths)
    more = len(os.listdir("/proc/self/fd")) - descriptors
    assert (left, more) == (0, 0), f"{len(paths)} files were refused: {left} are still mapped, {more} descriptors open"


@pytest.mark.finds("lifetime", at="close")
def test_a_closed_file_gives_no_tensor(built, sample):
    path, tensors = sample
    with built.Weights(path) as weights:
        same(weights["bias"], tensors["bias"], "bias")
    weights.close()
    try:
        weights["bias"]
    except ValueError:
        return
    raise AssertionError("a tensor was given out after close()")


@pytest.mark.finds("wrong-result", at="__getitem__")
def test_names_that_are_not_there(built, sample):
    weights = built.Weights(sample[0])
    for name in ("missing", "__metadata__"):
        with pytest.raises(KeyError):
            weights[name]
        assert name not in weights


@pytest.mark.finds("forbidden", at="import safetensors")
def test_the_reader_is_your_own(built, sample):
    before = "safetensors" in sys.modules
    weights = built.Weights(sample[0])
    _ = [weights[name].shape for name in weights]
    loaded = "safetensors" in sys.modules
    source = Path(built.__file__).read_text("utf-8")
    named = re.search(r"\bimport\s+safetensors|\bfrom\s+safetensors|import_module\(.safetensors", source)
    assert loaded == before, "st.py imports the safetensors package: the task is to do without"
    assert not named, "st.py imports the safetensors package: the task is to do without"
