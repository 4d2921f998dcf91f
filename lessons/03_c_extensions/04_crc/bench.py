"""Benchmarks of capi-gil: the checksum of 128 KiB against Python with a table, and a shard of blocks against a loop."""

from __future__ import annotations

from tutor.worker.case import Case

SIZE, BLOCK = 128 << 10, 4 << 10


def make_table():
    table = list(range(256))
    for _ in range(8):
        table = [(crc >> 1) ^ (0x82F63B78 if crc & 1 else 0) for crc in table]
    return table


TABLE = make_table()


def python_crc(data):
    """A table look-up a byte: as fast as the definition gets in Python."""
    table, crc = TABLE, 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def data(rng):
    return (rng.bytes(SIZE),)


def shard(rng):
    """Blocks and their checksums, all right. Three blocks are used in turn: Python would need long for more."""
    import numpy as np

    pool = [rng.bytes(BLOCK) for _ in range(3)]
    sums = [python_crc(block) for block in pool]
    places = rng.integers(0, 3, SIZE // BLOCK).tolist()
    return b"".join(pool[i] for i in places), BLOCK, np.array([sums[i] for i in places], np.uint32)


def python_verify(shard, block, expected):
    for number, want in enumerate(expected.tolist()):
        if python_crc(shard[number * block : (number + 1) * block]) != want:
            raise ValueError(f"block {number} has a wrong checksum")


def same(inputs, got, want):
    assert got == want, f"got {got!r}, want {want!r}"


CASES = {
    "table": Case(make=data, learner=lambda built, data: built.crc32c(data), baseline=python_crc, verify=same),
    "verify": Case(make=shard, learner=lambda built, *args: built.verify(*args), baseline=python_verify, verify=same),
}
