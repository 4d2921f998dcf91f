"""Benchmarks of capi-type: 20,000 records of a shard, against a generator."""

from __future__ import annotations

import struct

from tutor.worker.case import Case

RECORDS = 20_000


def shard(rng):
    lengths = rng.integers(0, 200, RECORDS).tolist()
    payload = rng.bytes(RECORDS + 200)
    return (b"".join(struct.pack("<I", n) + payload[i : i + n] for i, n in enumerate(lengths)),)


def generator(data):
    """What a dataset class does in its __iter__."""
    at, end = 0, len(data)
    while at < end:
        if end - at < 4:
            raise ValueError("cut off")
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        if end - at < length:
            raise ValueError("cut off")
        yield data[at : at + length]
        at += length


CASES = {
    "records": Case(
        make=shard, learner=lambda built, data: list(built.Reader(data)), baseline=lambda data: list(generator(data))
    ),
    "lengths": Case(
        make=shard,
        learner=lambda built, data: list(built.Reader(data, len)),
        baseline=lambda data: [len(record) for record in generator(data)],
    ),
}
