"""Checks of pb-owner: pixels, what is copied, who keeps what alive and for how long."""

import gc
import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# what a wrong implementation raises instead
OTHERS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


def pack(pixels):
    """A file of these frames, uint8 (count, height, width, 3)."""
    flat = np.ascontiguousarray(pixels).reshape(-1, 3)
    runs = bytearray()
    starts = [0, *(np.flatnonzero((flat[1:] != flat[:-1]).any(1)) + 1).tolist(), len(flat)]
    for start, stop in itertools.pairwise(starts):
        for first in range(start, stop, 255):
            runs += bytes([min(255, stop - first), *flat[start].tolist()])
    return b"FRM1" + struct.pack("<3I", *pixels.shape[:3]) + bytes(runs)


def film(rng, count, height, width):
    """Frames with some runs of one colour."""
    colours = rng.integers(0, 256, (count, height, width, 3)).astype(np.uint8)
    colours[rng.random((count, height, width)) < 0.5] = (7, 8, 9)
    return colours


def plain(count, height, width):
    """A large file in few bytes, and what is in it: frame f is of the colour (f, f, f)."""
    pixels = np.empty((count, height, width, 3), np.uint8)
    pixels[:] = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return pack(pixels), pixels


def same(got, want, what):
    assert isinstance(got, np.ndarray), f"{what}: a NumPy array is asked for, not {type(got).__name__}"
    assert (got.dtype, got.shape) == (want.dtype, want.shape), (
        f"{what}: got {got.dtype} of shape {got.shape}, want {want.dtype} of shape {want.shape}"
    )
    wrong = np.argwhere(got != want)
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise AssertionError(f"{what}: at {list(place)} got {got[place]}, want {want[place]}")


def rubbish(size):
    """Takes memory that was freed, if it was, and writes into it."""
    return [np.full(size, 0xAA, np.uint8) for _ in range(8)]


SHAPES = [(1, 1, 1), (2, 3, 5), (4, 2, 22), (3, 5, 64), (2, 4, 21), (1, 7, 43)]


@pytest.mark.finds("wrong-result", at="py::array decode(")
def test_decoded_pixels_are_right(built, rng):
    for shape in SHAPES:
        pixels = film(rng, *shape)
        same(built.decode(pack(pixels)), pixels, f"decode, {shape}")


@pytest.mark.finds("layout", at="py::array all_frames(")
@settings(max_examples=30, deadline=None, database=None)
@given(shape=st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 45)), seed=st.integers(0, 999))
def test_any_size_of_frame(built, shape, seed):
    pixels = film(np.random.default_rng(seed), *shape)
    file = pack(pixels)
    same(built.decode(file), pixels, f"decode, {shape}: rows begin every row_bytes, not every 3 * width bytes;")
    same(built.Clip(file).frames, pixels, f"frames, {shape}")


@pytest.mark.finds("wrong-result", at="py::array frame(")
def test_each_frame_is_its_own(built, rng):
    for shape in SHAPES:
        pixels = film(rng, *shape)
        clip = built.Clip(pack(pixels))
        assert len(clip) == len(pixels), f"len(clip) is {len(clip)}, want {len(pixels)}"
        for index in range(-len(pixels), len(pixels)):
            same(clip.frame(index), pixels[index], f"frame({index}) of {shape}")


def refuses(error, call, what):
    __tracebackhide__ = True
    try:
        got = call()
    except error:
        return
    except OTHERS as other:
        raise AssertionError(f"{what}: want {error.__name__}, got {type(other).__name__}: {other}") from None
    raise AssertionError(f"{what}: want {error.__name__}, but it returned {type(got).__name__}")


@pytest.mark.finds("out-of-bounds", at="py::array frame(")
def test_frames_that_are_not_there_are_an_index_error(built):
    for count in (0, 1, 3):
        clip = built.Clip(plain(count, 4, 5)[0])
        for index in (count, count + 1, -count - 1, 1 << 40, -(1 << 40)):
            refuses(IndexError, lambda clip=clip, index=index: clip.frame(index), f"frame({index}) of {count}")


@pytest.mark.finds("error-path", at="py::array decode(")
def test_malformed_files_leave_nothing_behind(built, rng):
    good = pack(film(rng, 2, 3, 4))
    bad = {
        "": b"",
        "another format": b"RIFF" + good[4:],
        "cut": good[:-4],
        "longer": good + b"\x01abc",
        "cut run": good[:-1],
    }
    for what, file in bad.items():
        refuses(ValueError, lambda file=file: built.decode(file), f"decode, a file that is {what}")
        refuses(ValueError, lambda file=file: built.Clip(file), f"Clip, a file that is {what}")
    refuses(TypeError, lambda: built.decode("FRM1"), "decode of a str")
    gc.collect()
    assert built.alive() == 0, f"all files were malformed, and {built.alive()} clips are alive"


@pytest.mark.finds("hidden-copy", at="py::array decode(")
def test_decode_needs_its_pixels_once(built, memory):
    file, pixels = plain(20, 300, 512)
    built.decode(file)
    _, extra = memory.peak(built.decode, file)
    assert extra < 1.5 * pixels.nbytes, (
        f"decode of {pixels.nbytes:,} bytes of pixels needed {extra:,}: they were decoded, and copied"
    )


@pytest.mark.finds("hidden-copy", at="py::array all_frames(")
def test_frames_are_no_copies(built, memory):
    clip = built.Clip(plain(20, 300, 512)[0])
    for name, call in (("frames", lambda: clip.frames), ("frame(3)", lambda: clip.frame(3))):
        call()
        array, extra = memory.peak(call)
        assert extra < array.nbytes / 2, (
            f"clip.{name} needed {extra:,} bytes, for {array.nbytes:,} that are there already"
        )
        assert np.shares_memory(array, call()), f"clip.{name} is another memory at each call"
    assert np.shares_memory(clip.frames[3], clip.frame(3)), "frame(3) and frames[3] are not the same memory"


@pytest.mark.finds("hidden-copy", at="py::array frame(")
def test_writes_are_seen_by_all(built):
    clip = built.Clip(plain(3, 4, 50)[0])
    clip.frame(1)[2, 40] = (1, 2, 3)
    assert clip.frames[1, 2, 40].tolist() == [1, 2, 3], "a pixel written through frame(1) does not show in frames"
    clip.frames[2, :, ::2] = 99
    assert (clip.frame(-1)[:, ::2] == 99).all(), "pixels written through frames do not show in frame(-1)"
    assert (clip.frame(0) == 0).all(), "writing into frame 1 and 2 changed frame 0"


@pytest.mark.finds("layout", at="py::array decode(")
def test_decoded_pixels_can_be_written(built):
    pixels = built.decode(plain(3, 4, 50)[0])
    assert pixels.flags.writeable, (
        "decode(file) is read-only, want an array like clip.frames: augmentation writes into it"
    )


VIEWS = {
    "decode(file)": lambda built, file: built.decode(file),
    "Clip(file).frames": lambda built, file: built.Clip(file).frames,
    "Clip(file).frame(1)": lambda built, file: built.Clip(file).frame(1),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.finds("lifetime", at=at))
        for name, at in zip(VIEWS, ("py::array decode(", "py::array frames(", "py::array frame("), strict=True)
    ],
)
def test_pixels_outlive_everything_but_the_array(built, name):
    file, pixels = plain(3, 200, 300)
    want = pixels[1] if "frame(" in name else pixels
    array = VIEWS[name](built, file)
    gc.collect()
    kept = rubbish(600_000)
    assert built.alive() == 1, f"{name}: the array is there, and {built.alive()} clips are alive, want 1"
    same(array, want, f"{name}, all else dropped")
    part = array[::2, ::-1][1:]
    del array
    gc.collect()
    kept += rubbish(600_000)
    assert built.alive() == 1, f"a view of {name} is left, and {built.alive()} clips are alive, want 1"
    same(part, want[::2, ::-1][1:], f"a view of {name}, all else dropped")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.finds("memory-leak", at=at))
        for name, at in zip(VIEWS, ("py::array decode(", "py::array frames(", "py::array frame("), strict=True)
    ],
)
def test_the_clip_goes_with_its_last_array(built, name):
    file = plain(3, 20, 30)[0]
    for number in range(3):
        arrays = [VIEWS[name](built, file) for _ in range(4)]
        assert built.alive() == 4, f"four times {name}: {built.alive()} clips are alive"
        arrays = [array[1:, 1:] for array in arrays]
        del arrays
        gc.collect()
        assert built.alive() == 0, f"round {number}: the last array of {name} is gone, {built.alive()} clips are alive"


@pytest.mark.finds("memory-leak", at="py::array frame(")
def test_frames_do_not_pile_up(built, memory):
    file = plain(3, 20, 30)[0]
    clip = built.Clip(file)
    memory.leak(clip.frame, 1)
    memory.leak(getattr, clip, "frames")
    memory.leak(built.decode, file)
    del clip
    gc.collect()
    assert built.alive() == 0, f"thousands of frames later {built.alive()} clips are alive"
