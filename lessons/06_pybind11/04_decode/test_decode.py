"""Checks of pb-gil: pixels, who can run meanwhile, what others do meanwhile, exact counts, and no deadlock."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

EVERY = 64  # masks between two calls of `progress`
# what a wrong implementation raises instead
OTHERS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, MemoryError)


def digits(value):
    """5 bits a character, the lowest first; 32 is "one more", the highest bit of the last one is the sign."""
    text = bytearray()
    while True:
        digit, value = value & 31, value >> 5
        last = value == (-1 if digit & 16 else 0)
        text.append(48 + digit + (0 if last else 32))
        if last:
            return bytes(text)


def encode(mask):
    """COCO's text of a mask (width, height)."""
    flat = mask.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff([0, *([0] if flat[0] else []), *edges, flat.size]).tolist()
    return b"".join(digits(run - runs[i - 2] if i > 2 else run) for i, run in enumerate(runs))


def pictures(rng, count, height, width):
    """Masks (count, width, height) and their texts: blocks, so that there are runs of all lengths."""
    coarse = rng.integers(0, 2, (count, -(-width // 3), -(-height // 5)), np.uint8)
    masks = np.repeat(np.repeat(coarse, 3, axis=1), 5, axis=2)[:, :width, :height]
    masks ^= rng.random(masks.shape) < 0.02
    return masks, [encode(mask) for mask in masks]


def same(got, want, what):
    assert isinstance(got, np.ndarray), f"{what}: a NumPy array is asked for, not {type(got).__name__}"
    assert (got.dtype, got.shape) == (want.dtype, want.shape), (
        f"{what}: got {got.dtype} of shape {got.shape}, want {want.dtype} of shape {want.shape}"
    )
    wrong = np.argwhere(got != want)
    if len(wrong):
        mask, x, y = wrong[0].tolist()
        raise AssertionError(
            f"{what}: mask {mask} at ({x}, {y}): got {got[mask, x, y]}, want {want[mask, x, y]} ({len(wrong)} wrong)"
        )


def call(decoder, what, *args):
    try:
        return decoder.decode(*args)
    except OTHERS as error:
        raise AssertionError(f"{what}: raised {type(error).__name__}: {error}") from None


@pytest.mark.finds("wrong-result", at="decode")
def test_pixels_are_right(built, rng):
    for count, height, width in ((1, 1, 1), (3, 7, 5), (130, 20, 30), (0, 4, 6), (64, 33, 2)):
        masks, texts = pictures(rng, count, height, width)
        same(call(built.Decoder(height, width), "decode", texts), masks, f"{count} masks of {height} x {width}")


@pytest.mark.finds("wrong-result", at="decode")
@settings(max_examples=40, deadline=None, database=None)
@given(count=st.integers(0, 5), height=st.integers(1, 30), width=st.integers(1, 30), seed=st.integers(0, 999))
def test_any_size_of_mask(built, count, height, width, seed):
    masks, texts = pictures(np.random.default_rng(seed), count, height, width)
    same(call(built.Decoder(height, width), "decode", texts), masks, f"{count} masks of {height} x {width}")


def large_job(rng, count=640, height=300, width=400):
    """Some milliseconds of decoding, and the masks."""
    masks, texts = pictures(rng, 8, height, width)
    return np.tile(masks, (count // 8, 1, 1)), texts * (count // 8)


@pytest.mark.finds("gil-held", at="decode")
def test_other_threads_run_meanwhile(built, gil, rng):
    decoder, (_, texts) = built.Decoder(300, 400), large_job(rng)
    gil.check(decoder.decode, texts, at_least=0.6)


KINDS = ("a batch", "no masks", "a malformed mask", "progress")


def caller(built, rng, kind):
    """A function that decodes a batch of this kind, and the batch."""
    _, texts = pictures(rng, 130, 9, 8)
    if kind == "a malformed mask":
        texts[70] = b"!"
    seen = []
    decoder, progress = built.Decoder(9, 8), (lambda done, total: seen.append(None)) if kind == "progress" else None

    def run(texts):
        seen.clear()
        try:
            decoder.decode(texts, progress)
        except ValueError:
            assert kind == "a malformed mask", "a right batch is refused"

    return run, [] if kind == "no masks" else texts


@pytest.mark.finds("gil-missing", at="decode")
@pytest.mark.parametrize("kind", KINDS)
def test_objects_are_touched_with_the_gil_only(built, rng, kind):
    run, texts = caller(built, rng, kind)
    try:
        run(texts)
    except RuntimeError as error:
        raise AssertionError(f"{kind}: pybind11 stopped the call: {str(error).splitlines()[0]}") from None


@pytest.mark.finds("ref-leak", at="decode")
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_gives_back_every_reference(built, refs, rng, kind):
    """Under watch, which also tells what calls Python without the GIL."""
    run, texts = caller(built, rng, kind)
    refs(run, texts)


@pytest.mark.finds("wrong-result", at="decode")
def test_progress_is_called_every_64_masks_and_at_the_end(built, rng):
    for count in (0, 1, 63, 64, 65, 128, 200):
        _, texts = pictures(rng, count, 4, 5)
        calls = []
        call(built.Decoder(4, 5), f"{count} masks", texts, lambda done, total, calls=calls: calls.append((done, total)))
        want = [(done, count) for done in range(1, count + 1) if done % EVERY == 0 or done == count]
        assert calls == want, f"{count} masks: progress was called with {calls}, want {want}"


class Interrupted(Exception):
    """What a user's callback raises."""


@pytest.mark.finds("exception-contract", at="decode")
def test_what_progress_raises_is_raised(built, rng):
    _, texts = pictures(rng, 200, 4, 5)
    decoder, seen = built.Decoder(4, 5), []

    def progress(done, total):
        seen.append(done)
        if done == 128:
            raise Interrupted("enough")

    try:
        decoder.decode(texts, progress)
    except Interrupted:
        assert seen == [64, 128], f"progress raised at 128 masks, and was called with {seen}"
    except OTHERS as other:
        raise AssertionError(f"progress raised Interrupted, decode {type(other).__name__}: {other}") from None
    else:
        raise AssertionError("progress raised an exception, and decode returned as if nothing had happened")


@pytest.mark.finds("wrong-result", at="decode")
def test_a_malformed_mask_is_named(built, rng):
    _, good = pictures(rng, 130, 6, 7)
    decoder = built.Decoder(6, 7)
    for index in (0, 63, 64, 129):
        for bad in (b"", b"!", good[index][:-1] + b"P", encode(np.zeros((7, 7), np.uint8)), b"o" * 9):
            texts = [*good]
            texts[index] = bad
            said = None
            try:
                decoder.decode(texts)
            except (ValueError, *OTHERS) as error:
                said = error
            assert said is not None, f"mask {index} is {bad!r}, and it was accepted"
            right = isinstance(said, ValueError)
            assert right, f"mask {index} is {bad!r}: want ValueError, got {type(said).__name__}"
            assert f"mask {index}:" in str(said), f"mask {index} is malformed, the error says: {said}"


@pytest.mark.finds("dtype", at="decode")
def test_texts_that_are_no_bytes_are_refused(built, rng):
    _, good = pictures(rng, 3, 6, 7)
    for bad in ("04", None, 5, bytearray(good[0]), [good[0]]):
        for index in range(3):
            texts = [*good]
            texts[index] = bad
            try:
                built.Decoder(6, 7).decode(texts)
            except TypeError:
                continue
            except OTHERS as other:
                raise AssertionError(f"{bad!r} in the list: want TypeError, got {type(other).__name__}") from None
            raise AssertionError(f"{bad!r} in the list was accepted")


@pytest.mark.finds("lifetime", at="decode")
@pytest.mark.parametrize("how", ["cleared", "replaced"])
def test_the_list_may_change_meanwhile(built, rng, how):
    """What was in it at the call is decoded: others may run, and do with the list what they like."""
    masks, texts = pictures(rng, 200, 12, 13)
    lengths = {len(text) for text in texts}
    # bytes whose only owner is the list
    own = [bytes(bytearray(text)) for text in texts]
    del texts
    kept = []

    def progress(done, total):
        if done == EVERY:
            own[:] = [] if how == "cleared" else [b"0"] * total
            gc.collect()
            kept.extend(b"X" * length for length in lengths for _ in range(200))

    same(call(built.Decoder(12, 13), f"the list was {how} in progress", own, progress), masks, f"the list was {how}")


@pytest.mark.finds("lifetime", at="decode")
def test_the_list_may_change_while_masks_are_decoded(built, rng):
    """As before, by another thread, whenever it gets to run."""
    masks, texts = large_job(rng, 320)
    own, decoder, stop, kept = [], built.Decoder(300, 400), threading.Event(), []

    def other():
        while not stop.is_set():
            if own:
                lengths = {len(text) for text in own[:9]}
                own.clear()
                kept.append([b"X" * length for length in lengths for _ in range(300)])
            stop.wait(0.0003)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        for _ in range(4):
            own += [bytes(bytearray(text)) for text in texts]
            got = call(decoder, "another thread cleared the list", own)
            if len(got):  # else it was cleared before the call
                same(got, masks, "another thread cleared the list")
            kept.clear()
    finally:
        stop.set()
        thread.join()


def in_threads(work, count):
    """Runs work(i) in threads that begin together; raises the first exception of one."""
    errors, gate = [], threading.Barrier(count)

    def run(i):
        try:
            gate.wait()
            work(i)
        except BaseException as error:  # noqa: BLE001 - it is raised in the check's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.fixture
def switches_often():
    """Many switches of threads in little time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.finds("data-race", at="decode")
def test_threads_share_a_decoder(built, rng, switches_often):
    jobs = [pictures(rng, 150, 40, 50) for _ in range(4)]
    decoder = built.Decoder(40, 50)

    def work(i):
        masks, texts = jobs[i]
        for _ in range(25):
            same(call(decoder, "4 threads, one decoder", texts), masks, "4 threads, one decoder")

    in_threads(work, 4)


@pytest.mark.finds("data-race", at="note")
def test_counts_are_exact_with_threads(built, switches_often):
    """Small masks of many runs: threads decode at the same time, and count often."""
    texts, calls = [b"0" + b"1" * 2 + b"0" * 22] * 30_000, 5
    ones = 30_000 * 12

    def rounds(decoder):
        in_threads(lambda i: [decoder.decode(texts) for _ in range(calls)], 3)
        return tuple(decoder.stats())

    # Two threads must be at it at the same moment, which on a busy machine takes more than one attempt.
    for _ in range(10):
        got, want = rounds(built.Decoder(24, 1)), (3 * calls * len(texts), 3 * calls * ones)
        assert got == want, (
            f"3 threads decoded {want[0]:,} masks with {want[1]:,} ones, stats() says {got[0]:,} masks, {got[1]:,} ones"
        )


@pytest.mark.finds("wrong-result", at="stats")
def test_stats_count_all_masks_so_far(built, rng):
    masks, texts = pictures(rng, 150, 6, 7)
    decoder, seen = built.Decoder(6, 7), []
    assert tuple(decoder.stats()) == (0, 0), f"stats() of a new decoder is {decoder.stats()}"
    call(decoder, "progress calls stats", texts, lambda done, total: seen.append(tuple(decoder.stats())))
    want = [(done, int(masks[:done].sum())) for done in (64, 128, 150)]
    assert seen == want, f"progress asked for stats() and got {seen}, want {want}"
    texts[100] = b"!"
    with pytest.raises(ValueError):
        decoder.decode(texts)
    got, want = tuple(decoder.stats()), (250, int(masks.sum() + masks[:100].sum()))
    assert got == want, f"100 masks, then a malformed one: stats() is {got}, want {want}"


# The limit of all checks ends the following three when threads wait for each other for ever.


@pytest.mark.finds("timeout", at="decode")
def test_progress_may_use_the_decoder(built, rng):
    masks, texts = pictures(rng, 100, 6, 7)
    decoder, inner = built.Decoder(6, 7), []

    def progress(done, total):
        decoder.stats()
        inner.append(decoder.decode(texts[:70]))

    same(call(decoder, "progress calls decode", texts, progress), masks, "a decode within progress")
    for got in inner:
        same(got, masks[:70], "a decode within progress")


@pytest.mark.finds("timeout", at="decode")
def test_stats_never_wait_for_ever(built, rng, switches_often):
    """One thread decodes, another one asks: who has the lock must not wait for the GIL."""
    decoder, (_, texts) = built.Decoder(300, 400), large_job(rng, 320)
    done = threading.Event()

    def work(i):
        while i and not done.is_set():
            decoder.stats()
        try:
            for _ in range(0 if i else 3):
                call(decoder, "another thread asks for stats", texts, lambda done, total: None)
        finally:
            done.set()

    in_threads(work, 2)


@pytest.mark.finds("timeout", at="decode")
def test_the_decoder_works_after_an_error(built, rng):
    _, texts = pictures(rng, 100, 6, 7)
    decoder = built.Decoder(6, 7)

    def progress(done, total):
        raise Interrupted("enough")

    for bad, told in (([*texts[:5], b"!"], None), (texts, progress), ([*texts[:5], 5], None)):
        with pytest.raises((ValueError, TypeError, Interrupted)):
            decoder.decode(bad, told)
        decoder.stats()
        decoder.decode(texts)


@pytest.mark.finds("memory-leak", at="decode")
@pytest.mark.parametrize("kind", ["a batch", "a malformed mask", "progress raises"])
def test_a_call_keeps_no_memory(built, rng, memory, kind):
    _, texts = pictures(rng, 100, 9, 8)
    decoder = built.Decoder(9, 8)
    if kind == "a malformed mask":
        texts[90] = b"!"

    def progress(done, total):
        if kind == "progress raises":
            raise Interrupted("enough")

    def run():
        try:
            decoder.decode(texts, progress)
        except (ValueError, Interrupted):
            assert kind != "a batch", "a right batch is refused"

    memory.leak(run)
