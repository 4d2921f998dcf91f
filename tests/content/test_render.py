"""Starter and solution from one marked file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutor.content.render import render_solution, render_starter
from tutor.core.errors import ContentError

MARKED = """\
int f(void) {
    // @gap add them up
    int sum = 1;
    return sum;
    //| /* TODO */
    //|
    //|     return 0;
    // @end
}
"""


def test_solution_has_no_markers() -> None:
    assert render_solution(MARKED) == "int f(void) {\n    int sum = 1;\n    return sum;\n}\n"


def test_starter_keeps_the_indentation_of_its_lines() -> None:
    assert render_starter(MARKED) == "int f(void) {\n    /* TODO */\n\n        return 0;\n}\n"


def test_hash_comments_mark_gaps_too() -> None:
    raw = "def f():\n    # @gap\n    return 1\n    #| raise NotImplementedError\n    # @end\n"
    assert render_starter(raw) == "def f():\n    raise NotImplementedError\n"
    assert render_solution(raw) == "def f():\n    return 1\n"


def test_crlf_form_feed_and_a_missing_last_newline_survive() -> None:
    raw = "a\r\n// @gap\r\nx\r\n//| y\r\n// @end\r\nb\x0cc"
    assert render_solution(raw) == "a\r\nx\r\nb\x0cc"
    assert render_starter(raw) == "a\r\ny\r\nb\x0cc"


@pytest.mark.parametrize(
    ("raw", "line", "words"),
    [
        ("a\n// @gap\nb\n", 2, "@gap without @end"),
        ("a\n// @end\n", 2, "@end without @gap"),
        ("// @gap\n// @gap\n// @end\n", 2, "inside the gap of line 1"),
        ("a\n\n//| b\n", 3, "outside a gap"),
    ],
)
def test_unbalanced_markers_name_file_and_line(raw: str, line: int, words: str) -> None:
    for render in (render_solution, render_starter):
        with pytest.raises(ContentError, match=words) as caught:
            render(raw, Path("f.c"))
        assert (caught.value.file, caught.value.line) == (Path("f.c"), line)


WORDS = st.text(alphabet="ab {};=", max_size=8)


@given(st.lists(st.tuples(st.sampled_from(["plain", "gap"]), st.lists(WORDS), st.lists(WORDS)), max_size=6))
def test_every_line_goes_where_it_belongs(parts: list[tuple[str, list[str], list[str]]]) -> None:
    raw = solution = starter = ""
    for kind, ours, theirs in parts:
        if kind == "plain":
            text = "".join(f"{line}\n" for line in ours)
            raw, solution, starter = raw + text, solution + text, starter + text
            continue
        raw += "  // @gap\n" + "".join(f"{x}\n" for x in ours) + "".join(f"//| {x}\n" for x in theirs) + "// @end\n"
        solution += "".join(f"{x}\n" for x in ours)
        starter += "".join(f"{x}\n" for x in theirs)
    assert render_solution(raw) == solution
    assert render_starter(raw) == starter
