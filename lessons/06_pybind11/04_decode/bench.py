"""Benchmarks of pb-gil: masks of 56 x 56, the size of a box that a detector looks into; and two threads against one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tutor.worker.case import Case

HEIGHT, WIDTH = 56, 56


def encode(runs):
    """COCO's characters: 5 bits each, lowest first; from the fourth on the difference to the one before the last."""
    text = bytearray()
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            digit, value = value & 31, value >> 5
            last = value == (-1 if digit & 16 else 0)
            text.append(48 + digit + (0 if last else 32))
            if last:
                break
    return bytes(text)


def masks(rng, count=256):
    """An object each: in every column but the outer ones some rows are ones, from a top that moves by a row or two."""
    texts = []
    for top, length in zip(rng.integers(8, 12, count).tolist(), rng.integers(20, 30, count).tolist(), strict=True):
        lengths = (length + rng.integers(-2, 3, WIDTH - 6)).tolist()
        runs = [3 * HEIGHT + top]
        for each in lengths:
            runs += [each, HEIGHT - each]
        runs[-1] = HEIGHT * WIDTH - sum(runs[:-1])
        texts.append(encode(runs))
    return (texts,)


def ragged_masks(rng):
    """Foliage, hair, fences: runs of one to four pixels. Reading the numbers is the work, not touching new pages."""
    texts = []
    for _ in range(32):
        runs = rng.integers(1, 5, HEIGHT * WIDTH).cumsum()
        ends = [*runs[runs < HEIGHT * WIDTH].tolist(), HEIGHT * WIDTH]
        texts.append(encode([end - start for start, end in zip([0, *ends], ends, strict=False)]))
    return (texts * 32,)


def python_decode(texts):
    """What one writes: numbers in Python, the pixels with np.repeat."""
    import numpy as np

    out = np.empty((len(texts), WIDTH, HEIGHT), np.uint8)
    for mask, text in zip(out, texts, strict=True):
        runs, value, shift = [], 0, 0
        for character in text:
            digit = character - 48
            value |= (digit & 31) << shift
            shift += 5
            if digit & 32:
                continue
            if digit & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
        mask.reshape(-1)[:] = np.repeat(np.arange(len(runs), dtype=np.uint8) & 1, runs)
    return out


def make_decoder(built, inputs):
    return (built.Decoder(HEIGHT, WIDTH), *inputs)


def learner(built, decoder, texts):
    return decoder.decode(texts)


def in_halves(decoder, texts, pool_map):
    middle = len(texts) // 2
    return list(pool_map(decoder.decode, (texts[:middle], texts[middle:])))


POOL = ThreadPoolExecutor(2)


def two_threads(built, decoder, texts):
    return in_halves(decoder, texts, POOL.map)


def one_thread(built, decoder, texts):
    return in_halves(decoder, texts, map)


def same(inputs, got, want):
    import numpy as np

    assert np.array_equal(np.concatenate([*got]), np.concatenate([*want])), "some pixels are wrong"


CASES = {
    "batch-256": Case(make=masks, prepare=make_decoder, learner=learner, baseline=python_decode, verify=same),
    "two-threads": Case(
        make=ragged_masks,
        prepare=make_decoder,
        learner=two_threads,
        baseline=one_thread,
        verify=same,
        baseline_built=True,
    ),
}
