"""What the screen looks like: dumps of the lines, and three SVG files. `pytest --snapshot-update` renews them."""

import re

import fake_session as fakes
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from tutor.ui.glyphs import ASCII

SCENES = {
    "build": (fakes.build_error, "2"),
    "checks": (fakes.failing, "3"),
    "speed": (fakes.passing, "4"),
    "references": (fakes.failing, "5"),
}


class Svg(SingleFileSnapshotExtension):
    file_extension = "svg"
    _write_mode = WriteMode.TEXT


def normal(svg: str) -> str:
    """The SVG without ids that differ from run to run and without fonts from afar, one element a line."""
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+textLength="[\d.]+"', "", svg)
    return svg.replace("><", ">\n<")


@pytest.mark.parametrize("name", SCENES)
async def test_the_panels_at_80x24(stage, snapshot: SnapshotAssertion, name):
    scene, key = SCENES[name]
    async with stage() as s:
        await s.play(*scene())
        await s.press(key)
        assert s.text == snapshot


@pytest.mark.parametrize("scene", [fakes.failing, fakes.passing])
async def test_all_panels_at_140x40(stage, snapshot: SnapshotAssertion, scene):
    async with stage((140, 40)) as s:
        await s.play(*scene(), *fakes.preparing())
        assert s.text == snapshot


async def test_ascii_at_140x40(stage, snapshot: SnapshotAssertion):
    async with stage((140, 40), ASCII) as s:
        await s.play(*fakes.passing())
        assert s.text == snapshot


@pytest.mark.parametrize(("scene", "size"), [("failing", (140, 40)), ("passing", (140, 40)), ("build_error", (80, 24))])
async def test_svg(stage, snapshot: SnapshotAssertion, scene, size):
    async with stage(size) as s:
        await s.play(*getattr(fakes, scene)())
        await s.press("2" if size[0] == 80 else "1")
        assert normal(s.app.export_screenshot()) == snapshot(extension_class=Svg)
