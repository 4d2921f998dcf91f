"""Every finding code is explained in two short sentences, by a lesson that is there."""

from __future__ import annotations

import pytest

from tutor.content.course import load_course
from tutor.core.advice import advice
from tutor.core.finding import CODES


@pytest.mark.parametrize("code", CODES)
def test_a_code_has_a_rule_and_a_fix(code: str) -> None:
    found = advice(code)
    for sentence in (found.rule, found.fix):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert 20 < len(sentence) < 240
    assert found.rule != found.fix
    assert found.text.endswith(f"(lesson {found.lesson})" if found.lesson else found.fix)


def test_lessons_that_are_named_exist() -> None:
    lessons = len(load_course().lessons)
    assert {advice(code).lesson for code in CODES} <= set(range(lessons + 1))
