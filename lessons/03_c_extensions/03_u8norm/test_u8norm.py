"""Checks of capi-buffer: values, every layout and format, protected pages, and both buffers pinned and released."""

from __future__ import annotations

import contextlib
import ctypes
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FILL = np.float32(-777.0)  # what no pixel becomes


def pictures(rng, height=7, width=9, channels=3):
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def room_for(image, dtype=np.float32):
    height, width, channels = image.shape
    return np.full((channels, height, width), FILL, dtype)


def reference(image, mean, std):
    """In double, channel first."""
    values = (np.asarray(image).astype(np.float64) / 255 - np.array(mean)) / np.array(std)
    return values.transpose(2, 0, 1)


def compare(out, image, mean=MEAN, std=STD, what="an image"):
    want = reference(image, mean, std)
    wrong = ~np.isclose(out, want, rtol=1e-5, atol=2e-5)
    if wrong.any():
        c, y, x = np.argwhere(wrong)[0].tolist()
        place = f"out[{c}, {y}, {x}] is {float(out[c, y, x]):.6g}, want {want[c, y, x]:.6g}"
        raise AssertionError(f"{what}: {place} ({np.count_nonzero(wrong)} of {want.size} are wrong)")


def check(built, image, mean=MEAN, std=STD, what="an image"):
    out = room_for(image)
    built.normalize(image, mean, std, out)
    compare(out, image, mean, std, what)


@pytest.mark.finds("wrong-result", at="normalize")
def test_values_are_right(built, rng):
    for shape in ((7, 9, 3), (1, 1, 3), (5, 64, 1), (3, 33, 4), (2, 3, 16), (0, 5, 3), (4, 0, 3)):
        mean, std = rng.uniform(-1, 1, shape[2]).tolist(), rng.uniform(0.1, 2, shape[2]).tolist()
        check(built, pictures(rng, *shape), mean, std, f"an image of shape {shape}")


@pytest.mark.finds("wrong-result", at="normalize")
def test_every_byte_is_normalised(built):
    image = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    check(built, image, [0.1, 0.5, 0.9], [1.0, 0.25, 2], "all 256 values of a byte")


def test_nothing_is_returned(built, rng):
    image = pictures(rng)
    result = built.normalize(image, list(MEAN), list(STD), room_for(image))
    assert result is None, f"normalize writes into out and returns None, not {type(result).__name__}"


@pytest.mark.finds("layout", at="normalize_pixels")
def test_images_of_any_layout_are_read(built, rng, variants):
    for label, image in variants(pictures(rng, 6, 10)):
        check(built, image, what=f"a {label} image")
    whole = pictures(rng, 12, 14, 4)
    views = {
        "a crop": whole[2:9, 3:11, :3],
        "a mirrored image": whole[:, ::-1, :3],
        "BGR as RGB": whole[:, :, 2::-1],
        "a broadcast row": np.broadcast_to(whole[:1, :, :3], (12, 14, 3)),
        "channels first in memory": np.ascontiguousarray(whole[:, :, :3].transpose(2, 0, 1)).transpose(1, 2, 0),
    }
    for label, image in views.items():
        check(built, image, what=label)


@pytest.mark.finds("layout", at="normalize_pixels")
def test_outputs_of_any_layout_are_written(built, rng):
    image = pictures(rng, 6, 10)
    wide = np.full((4, 3, 8, 25), FILL)
    raw = np.zeros(3 * 6 * 10 * 4 + 1, np.uint8)
    outs = {
        "a slot of a batch": (wide[:, :, :6, :10].copy(), lambda a: a[2]),
        "the middle of a padded batch": (wide, lambda a: a[1, :, 1:7, 5:15]),
        "every other column": (wide.copy(), lambda a: a[0, :, 2:8, 4:24:2]),
        "rows from below": (np.full((3, 6, 10), FILL), lambda a: a[:, ::-1]),
        "channels last in memory": (np.full((6, 10, 3), FILL), lambda a: a.transpose(2, 0, 1)),
        "an odd address": (raw, lambda a: a[1:].view(np.float32).reshape(3, 6, 10)),
    }
    for label, (owner, view) in outs.items():
        out = view(owner)
        built.normalize(image, MEAN, STD, out)
        compare(out, image, what=label)
        out[...] = FILL
        untouched = np.all(owner == FILL) or owner is raw
        assert untouched, f"{label}: values were written beside the output"


@settings(max_examples=40, deadline=None, database=None)
@given(data=st.data())
def test_any_slices_will_do(built, data):
    slices = [slice(data.draw(st.integers(0, 3)), None, data.draw(st.sampled_from((1, 2, 3)))) for _ in range(2)]
    flips = [slice(None, None, data.draw(st.sampled_from((1, -1)))) for _ in range(3)]
    image = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 256, (9, 11, 3), np.uint8)
    view = image[tuple(slices)][tuple(flips)]
    check(built, view, what=f"image[{slices}][{flips}]")


@pytest.mark.finds("layout", at="normalize_pixels")
def test_an_exporter_without_strides_is_read(built, rng):
    """A ctypes array fills in shape and format, and leaves strides NULL: in C order."""
    image = pictures(rng, 4, 5)
    source = ((ctypes.c_uint8 * 3) * 5 * 4).from_buffer_copy(image.tobytes())
    out = room_for(image)
    built.normalize(source, MEAN, STD, out)
    compare(out, image, what="a ctypes array")


@pytest.mark.finds("out-of-bounds", at="normalize_pixels")
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("which", ["image", "out"])
def test_nothing_beyond_the_edges_is_touched(built, rng, guard, side, which):
    for width in (1, 2, 5, 8, 31, 64):
        image = pictures(rng, 3, width)
        out = room_for(image)
        if which == "image":
            image = guard.array(image, side=side, readonly=True)
        else:
            out = guard.array(out, side=side)
        for view in (image, image[::-1, ::-1]):
            built.normalize(view, MEAN, STD, out)
            compare(out, view, what=f"width {width}")


def refused(errors, built, image, out, what, mean=MEAN, std=STD):
    """normalize must raise one of `errors`, and leave the output alone."""
    before = out.tobytes()
    try:
        built.normalize(image, mean, std, out)
    except errors:
        pass
    except (TypeError, ValueError, BufferError) as other:
        raise AssertionError(f"{what}: {type(other).__name__} is raised ({other}), want {errors}") from None
    else:
        raise AssertionError(f"{what} is accepted")
    assert out.tobytes() == before, f"{what}: refused, but something was written"


@pytest.mark.finds("dtype", at="normalize")
def test_images_of_other_formats_are_refused(built, rng):
    for dtype in ("int8", "bool", "uint16", "float32", ">u2"):
        image = pictures(rng).astype(dtype)
        refused(TypeError, built, image, room_for(image), f"an image of {dtype}")


@pytest.mark.finds("dtype", at="normalize")
def test_outputs_of_other_formats_are_refused(built, rng):
    image = pictures(rng)
    for dtype in ("float64", "int32", "uint8", "float16", ">f4"):
        roomy = np.zeros(8 * image.size, np.uint8)  # whoever writes floats all the same stays inside
        out = roomy[: image.size * np.dtype(dtype).itemsize].view(dtype)
        refused(TypeError, built, image, out.reshape(3, 7, 9), f"an output of {dtype}")


@pytest.mark.finds("wrong-result", at="normalize")
def test_a_read_only_output_is_refused(built, rng):
    image = pictures(rng)
    out = room_for(image)
    out.setflags(write=False)
    refused((BufferError, ValueError, TypeError), built, image, out, "a read-only output")


@pytest.mark.finds("out-of-bounds", at="normalize")
def test_shapes_that_do_not_fit_are_refused(built, rng):
    image = pictures(rng, 7, 9)
    room = np.zeros(4096, np.float32)
    for shape in ((3, 7, 8), (3, 6, 9), (7, 9, 3), (2, 7, 9), (21, 9), (1, 3, 7, 9)):
        out = room[: np.prod(shape)].reshape(shape)
        refused(ValueError, built, image, out, f"an output of shape {shape} for an image of {image.shape}")


@pytest.mark.finds("wrong-result", at="normalize")
def test_an_image_that_is_not_an_image_is_refused(built, rng):
    out = room_for(pictures(rng))
    for image in (rng.integers(0, 256, (7, 27), np.uint8), rng.integers(0, 256, (7, 9, 3, 1), np.uint8), bytes(189)):
        refused(ValueError, built, image, out, "an image without three dimensions")
    for image in (None, [[1, 2, 3]], 5):
        refused(TypeError, built, image, out, f"{image!r} as an image")


@pytest.mark.finds("out-of-bounds", at="normalize")
def test_numbers_of_channels_must_agree(built, rng):
    image = pictures(rng)
    refused(ValueError, built, image, room_for(image), "a mean of 2 numbers for 3 channels", mean=MEAN[:2])
    refused(ValueError, built, image, room_for(image), "a std of 4 numbers for 3 channels", std=(*STD, 1.0))
    many = pictures(rng, 2, 2, 17)
    refused(ValueError, built, many, room_for(many), "an image of 17 channels (16 at most)", [0.0] * 17, [1.0] * 17)


FAILURES = {
    "none": {},
    "image format": {"image": np.zeros((7, 9, 3), np.int8)},
    "output format": {"out": np.zeros((3, 7, 9), np.float64)},
    "shape": {"out": np.zeros((3, 7, 8), np.float32)},
    "output is no buffer": {"out": 5},
    "output is read-only": {"out": bytes(3 * 7 * 9 * 4)},
    "mean is too short": {"mean": (0.5,)},
    "std is no number": {"std": (1.0, "x", 1.0)},
}


@pytest.mark.finds("buffer-not-released", at="normalize")
def test_both_buffers_are_given_back(built):
    for failure in FAILURES:
        given_back(built, failure)


def given_back(built, failure):
    """A memoryview can be released only when nobody holds a buffer of it."""
    made = {"image": np.zeros((7, 9, 3), np.uint8), "out": np.zeros((3, 7, 9), np.float32), "mean": MEAN, "std": STD}
    made |= FAILURES[failure]
    views = {
        name: memoryview(made[name]) if hasattr(made[name], "__len__") else made[name] for name in ("image", "out")
    }
    try:
        built.normalize(views["image"], made["mean"], made["std"], views["out"])
    except (TypeError, ValueError, BufferError):
        assert failure != "none", "a call that should work failed"
    for name, view in views.items():
        try:
            getattr(view, "release", int)()
        except BufferError:
            text = f"after a call ({failure} wrong) the buffer of the {name} is still held: PyBuffer_Release is missing"
            raise AssertionError(text) from None


class Number:
    """Like a NumPy scalar: no float, but convertible to one."""

    def __init__(self, act):
        self.act = act

    def __float__(self):
        self.act()
        return 1.0


@pytest.mark.finds("lifetime", at="normalize")
@pytest.mark.parametrize("which", ["image", "out"])
@pytest.mark.parametrize("place", ["mean", "std"])
def test_memory_is_pinned_while_python_code_runs(built, rng, which, place):
    """To read mean and std before the buffers are taken is fine as well; to use memory that has been let go is not.

    A memoryview made of the caller's keeps the memory too: what counts is whether the array behind it is still there.
    """
    image = pictures(rng)
    owners = {"image": image, "out": room_for(image)}
    lenders = {name: owner[:] for name, owner in owners.items()}  # may go: the memory is the owners'
    watched = weakref.ref(lenders[which])
    views = {name: memoryview(lender) for name, lender in lenders.items()}
    lenders.clear()
    gone = []

    def take_away():
        with contextlib.suppress(BufferError):
            views[which].release()
        if watched() is None:
            gone.append(True)

    numbers = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
    numbers[place] = [1.0, Number(take_away), 1.0]
    try:
        built.normalize(views["image"], numbers["mean"], numbers["std"], views["out"])
    except (TypeError, ValueError, BufferError):
        return
    assert not gone, f"the {which} could be released in the middle of the call, and normalize went on with its memory"


@pytest.mark.finds("ref-leak", at="normalize")
@pytest.mark.parametrize("failure", ["none", "mean is too short"])
def test_a_call_gives_back_every_reference(built, refs, rng, failure):
    made = {"image": pictures(rng), "mean": rng.random(3).tolist(), "std": rng.random(3).tolist()}
    made["out"] = room_for(made["image"])
    made |= FAILURES[failure]
    refs(built.normalize, made["image"], made["mean"], made["std"], made["out"])


@pytest.mark.finds("hidden-copy", at="normalize")
@pytest.mark.parametrize("layout", ["contiguous", "mirrored"])
def test_no_copy_is_made(built, memory, rng, layout):
    image = rng.integers(0, 256, (1200, 1600, 3), np.uint8)
    view = image if layout == "contiguous" else image[:, ::-1]
    out = room_for(view)
    built.normalize(image[:8, :8], MEAN, STD, np.zeros((3, 8, 8), np.float32))
    _, peak = memory.peak(built.normalize, view, MEAN, STD, out)
    assert peak < 1 << 20, f"a call needs {peak / 1e6:.1f} MB for an image of {image.nbytes / 1e6:.1f} MB: want none"
    compare(out[:, :3, :3], view[:3, :3], what="the upper left corner")
