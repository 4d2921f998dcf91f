"""The caret under a learner's line, for both faces."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tutor.core.finding import Finding
from tutor.ui.caret import column_of, pointed
from tutor.ui.glyphs import ASCII, UNICODE, Glyphs

LONG = "    std::span<const float> row = weights.subspan(index * width, width) + wrong_name(row, width, index, 3.0f);"


def at(source: str, word: str) -> int:
    """The byte column of a word, as gcc and clang give it."""
    return len(source[: source.index(word)].encode()) + 1


@pytest.mark.parametrize(
    "source",
    [
        "foo = bar;",
        "\tfoo = bar;",
        "\t\tif (x) foo = bar;",
        "  \tfoo =\tbar;",
        'auto s = "é日本"; foo = bar;',
        LONG + " bar;",
    ],
)
@pytest.mark.parametrize("room", [16, 40, 74, 140])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_the_caret_is_under_the_word(source: str, room: int, glyphs: Glyphs) -> None:
    line, caret = pointed(source, at(source, "bar"), room, glyphs)
    assert cell_len(line) <= room
    assert cell_len(caret) <= room
    assert caret.strip() == "^~~"
    assert line[line.index("bar") :].startswith("bar")
    assert cell_len(line[: line.index("bar")]) == caret.index("^")


def test_a_word_in_the_middle_of_a_long_line_is_in_sight() -> None:
    line, caret = pointed(LONG, at(LONG, "wrong_name"), 60, UNICODE)
    assert line.startswith("…")
    assert line[caret.index("^") :].startswith("wrong_na")


def test_without_a_column_the_first_sign_is_meant() -> None:
    assert pointed("\tfoo;", None, 40, UNICODE) == ("        foo;", " " * 8 + "^")


def test_at_the_end_of_the_line_the_caret_stands_behind_it() -> None:
    assert pointed("int x = 3", 10, 40, UNICODE) == ("int x = 3", " " * 9 + "^")


def test_of_two_errors_on_a_line_each_has_its_own_column() -> None:
    raw = "/s/a.c: In function 'f':\n/s/a.c:2:3: error: 'x' undeclared\n/s/a.c:2:9: error: 'y' undeclared\n"
    found = [column_of(raw, Finding("build", f"'{name}' undeclared", "a.c", 2)) for name in "xyz"]
    assert found == [3, 9, 3]
