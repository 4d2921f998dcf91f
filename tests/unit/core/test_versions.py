"""How far a kept version is from the present files."""

from __future__ import annotations

from tutor.core.versions import Version, changes, newest_first


def kept(number: int = 1, **files: bytes) -> Version:
    return Version(number, 1.0, "replaced", "reset", {name: text for name, text in files.items()})


def test_lines_are_counted_from_what_is_there_now() -> None:
    version = kept(a=b"one\ntwo\nthree\n")
    assert changes(version, {"a": b"one\nTWO\n"}).text == "+2 -1 lines"
    assert changes(version, {"a": b"one\ntwo\nthree\n"}).text == "as now"
    assert changes(version, {}).text == "+3 -0 lines"
    assert changes(version, {"a": b"one\ntwo\nthree\n", "b": b"x\n"}).text == "+0 -1 lines"


def test_the_newest_is_first() -> None:
    assert [version.number for version in newest_first((kept(1), kept(3), kept(2)))] == [3, 2, 1]
