"""The zygote's memory on huge pages, where the system has them."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from tutor.worker import pages

MAPS = """\
5500000ff000-550000900000 rw-p 00000000 00:00 0          [heap]
7f0000000000-7f0000400000 rw-p 00000000 08:01 4711       /usr/lib/libtorch.so
7f0000400000-7f0000800000 r--p 00000000 00:00 0
7f0000a00000-7f0005000000 rw-p 00000000 00:00 0
7fff00000000-7fff00800000 rw-p 00000000 00:00 0          [stack]
7fff10001000-7fff101ff000 rw-p 00000000 00:00 0
02008fff7000-10007fff8000 rw-p 00000000 00:00 0
"""


def test_only_anonymous_writable_memory_is_taken_in_aligned_pieces_and_no_shadow_of_terabytes() -> None:
    pieces = list(pages._anonymous(iter(MAPS.splitlines())))
    assert pieces == [
        (0x550000200000, 0x550000800000),
        (0x7F0000A00000, 0x7F0002A00000),
        (0x7F0002A00000, 0x7F0004A00000),
        (0x7F0004A00000, 0x7F0005000000),
    ]


def test_memory_keeps_its_content_and_lies_on_huge_pages_where_there_are_any() -> None:
    before = huge_bytes()
    with mmap.mmap(-1, 16 << 20) as block:
        pattern = bytes(range(256)) * 4096
        for start in range(0, len(block), len(pattern)):
            block[start : start + len(pattern)] = pattern
        for step in pages.collapse_steps():
            step()
        assert all(block[start : start + len(pattern)] == pattern for start in range(0, len(block), len(pattern)))
        if huge_bytes() == before:
            pytest.skip("this kernel does not collapse pages on request")
        assert huge_bytes() - before >= 12 << 20


def huge_bytes() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith("AnonHugePages:"):
            return int(line.split()[1]) << 10
    return 0
