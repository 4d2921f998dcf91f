"""Benchmark of ct-layout: one structured view against unpacking header by header."""

import struct

from tutor.worker.case import Case

WIRE = struct.Struct(">4sBQQHHIfhB")


def make(rng):
    """20,000 headers with gaps in their sequence."""
    sequence = rng.integers(1, 4, size=20_000).cumsum()
    return (b"".join(WIRE.pack(b"CAM1", 1, int(s), int(s) * 33_333, 1920, 1080, 8333, 1.5, 2150, 0) for s in sequence),)


def unpack_loop(buffer):
    """What a practitioner writes first: struct.iter_unpack, fields by position."""
    missing, last = 0, None
    for record in WIRE.iter_unpack(buffer):
        if last is not None:
            missing += record[2] - last - 1
        last = record[2]
    return missing


CASES = {
    "headers-20000": Case(
        make=make,
        learner=lambda built, buffer: built.dropped(buffer),
        baseline=unpack_loop,
    )
}
