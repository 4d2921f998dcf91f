"""Calls the function; what it gives says nothing about what it did to memory."""

import ctypes


def test_it_runs(built: ctypes.CDLL) -> None:
    built.work.argtypes, built.work.restype = (ctypes.c_long,), ctypes.c_long
    assert isinstance(built.work(4), int)
