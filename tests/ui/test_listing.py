import fake_session as fakes
import pytest
from rich.style import Style

from tutor.core import events as e
from tutor.core.errors import WorkspaceError
from tutor.ui.screens.listings import CLIPBOARD, ListingSheet
from tutor.ui.widgets.listing import Listing, paint

RAW = "".join(f"a.c:{n}:3: {'error' if n % 10 == 0 else 'warning'}: thing {n} [-Wx]\n" for n in range(1, 61))


def built(raw: str = RAW):
    return (*fakes.started(), e.BuildFinished(1, False, (), raw, 0.1))


async def test_output_is_searched_and_the_matches_are_gone_through(stage):
    async with stage() as s:
        await s.play(*built())
        await s.press("o", "slash", *"error", "enter")
        assert "match 1 of 6" in s.text
        assert "error: thing 10" in s.text
        await s.press("n", "n")
        assert "match 3 of 6" in s.text
        assert "error: thing 30" in s.text
        await s.press("N", "N", "N")
        assert "match 6 of 6" in s.text, "it goes round"
        assert "error: thing 60" in s.text
        await s.press("slash", *"Thing", "enter")
        assert "nothing here matches 'Thing'" in s.text
        assert isinstance(s.app.screen, ListingSheet)


async def test_escape_leaves_the_search_first_and_letters_are_words_there(stage):
    async with stage() as s:
        await s.play(*built())
        await s.press("o", "slash", "q", "y", "n")
        assert isinstance(s.app.screen, ListingSheet)
        await s.press("escape")
        assert isinstance(s.app.screen, ListingSheet)
        await s.press("escape")
        assert len(s.app.screen_stack) == 1


async def test_a_match_can_be_seen_without_colour(stage):
    async with stage() as s:
        await s.play(*built())
        await s.press("o", "slash", *"error", "enter")
        listing = s.app.screen.query_one(Listing)
        rows = [listing.render_line(y) for y in range(listing.size.height)]
        marked = [s for row in rows for s in row if s.text == "error" and s.style and s.style.reverse]
        others = [s for row in rows for s in row if s.text == "error" and s.style and s.style.underline]
        assert len(marked) == 1
        assert others


async def test_y_copies_and_names_the_file(stage, tmp_path, monkeypatch):
    async with stage() as s:
        copied = []
        monkeypatch.setattr(s.app, "copy_to_clipboard", copied.append)
        await s.play(*built())
        await s.press("o", "y")
        path = tmp_path / "output.txt"
        assert "all of it is in" in s.text
        assert path.name in s.text
        assert path.read_text() == copied[0]
        assert copied[0].startswith("== build ==\na.c:1:3")
        await s.press("escape")
        await s.play(*built("x" * 99 + "\n" + RAW * 40))
        await s.press("o", "y")
        assert "the end copied" in s.text
        assert len(copied[1]) == CLIPBOARD
        assert "xxx" in path.read_text()


async def test_a_disk_that_refuses_is_told(stage, monkeypatch):
    def refuse(self, name, text):
        raise WorkspaceError("the disk is full")

    monkeypatch.setattr(fakes.FakeMaterial, "keep_text", refuse)
    async with stage() as s:
        await s.press("o", "y")
        assert "the disk is full" in s.text


async def test_the_solution_is_searched_and_not_copied(stage):
    async with stage() as s:
        await s.play(*fakes.passing())
        await s.press("s")
        assert "y copies" not in s.text
        await s.press("y", "slash", *"score", "enter")
        assert "match 1 of 3" in s.text


@pytest.mark.parametrize(
    ("line", "words", "colour"),
    [
        ("a.c:1:2: error: no", "error:", "red"),
        ("a.c:1:2: fatal error: no", "fatal error:", "red"),
        ("error[E0382]: moved", "error[E0382]:", "red"),
        ("a.c:1:2: warning: hm", "warning:", "magenta"),
        ("note: see", "note:", "cyan"),
        ("   |   ^~~~", "   |   ^~~~", "green"),
        ("E   assert 1 == 2", "E   assert 1 == 2", "red"),
    ],
)
def test_output_is_coloured_as_the_tools_colour_it(line, words, colour):
    (segments,) = paint(line)
    (coloured,) = [segment for segment in segments if segment.style]
    assert coloured.text == words
    assert coloured.style.color.name == colour
    assert "".join(segment.text for segment in segments) == line


def test_everything_else_stays_plain():
    assert [s.style for s in paint("an errorless line")[0]] in ([None], [Style()])
