"""Callables of the standard library's own extension modules, which are right: nothing may be found in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tutor.core.protocol import Artifact
from tutor.worker.probe.passes import Probed, diagnose

MODULES = [
    "array",
    "_struct",
    "_bisect",
    "_heapq",
    "_json",
    "_pickle",
    "_datetime",
    "math",
    "cmath",
    "zlib",
    "binascii",
    "_csv",
    "_random",
    "unicodedata",
    "_statistics",
    "_bz2",
    "_lzma",
    "_queue",
    "_zoneinfo",
    "_opcode",
    "_decimal",
    "_elementtree",
    "pyexpat",
]
# They do what they are told, for hours.
ENDLESS = {"factorial", "perm", "comb"}


class Mortal:
    pass


def arguments() -> Iterator[tuple[Any, ...]]:
    yield (Mortal(),)
    yield (float("2.5"),)
    yield (int("123456789012"),)
    yield (bytearray(b"abc" * 9),)
    yield ([3.5, 1.5, 2.25],)
    yield (f"text {os.getpid()}",)
    yield ([1.5, 3.5], 2.25)
    yield ("d", [1.5, 2.5])
    yield (b"%d" % os.getpid(), 3)


def callables(module: Any) -> list[str]:
    return [
        name
        for name in sorted(vars(module))
        if name[0] != "_" and name not in ENDLESS and callable(getattr(module, name))
    ]


def takes(call: Any, args: tuple[Any, ...]) -> bool:
    """Wrong arguments are no use: the call would not get far."""
    try:
        call(*args)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    except Exception:  # noqa: BLE001 - it has done something
        return True
    return True


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_found_in(probe: Any, name: str) -> None:
    module = pytest.importorskip(name)
    if not getattr(module, "__file__", None):
        pytest.skip(f"{name} is built into this Python")
    artifact = Artifact("extension", name, module.__file__)
    found: list[Any] = []
    for function in callables(module):
        for args in arguments():
            if takes(getattr(module, function), args):
                diagnosis = diagnose(Probed(artifact, getattr(module, function), args))
                found += [(function, args, finding.message) for finding in diagnosis.findings]
                assert diagnosis.unknown == ""
    assert found == []
