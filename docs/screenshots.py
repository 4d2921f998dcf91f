"""Makes the pictures of the README from the running app: a leak in 3.1 found, and the same exercise passed.

python docs/screenshots.py [FOLDER]
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tutor.content.course import load_course
from tutor.content.lookup import find_exercise
from tutor.content.sources import faulted_files, solution_files
from tutor.content.workspace import Workspace
from tutor.engine.session import Session
from tutor.store.home import Home
from tutor.ui import app as ui
from tutor.ui.app import TutorApp
from tutor.ui.material import CourseMaterial
from tutor.ui.ports import SessionLike

EXERCISE, FAULT = "capi-refs", "faults/append-leak.patch"
SIZE = (140, 40)
PATIENCE = 180.0


def tidy(svg: str) -> str:
    """The SVG without fonts that a browser would fetch from elsewhere."""
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


async def picture(target: Path, files: dict[str, bytes], scratch: Path) -> None:
    """Open the app on these files, wait for the verdict, save the screen."""
    course = load_course()
    exercise = find_exercise(course, EXERCISE, None)
    workspace = Workspace(scratch / "workspace")
    workspace.start(exercise)
    for name, content in files.items():
        (workspace.folder(exercise) / name).write_bytes(content)
    sessions: list[Session] = []

    def connect() -> AbstractAsyncContextManager[SessionLike]:
        sessions.append(Session(course, workspace, Home.locate()))
        return sessions[-1]

    # Where the files of somebody who has installed it lie, not the scratch folder of this script.
    ui.homely = lambda path: f"~/mltutor/{path.relative_to(workspace.root)}"
    app = TutorApp(connect, course, CourseMaterial(workspace.root), start=EXERCISE)
    async with app.run_test(size=SIZE) as pilot:
        started = time.monotonic()
        while not (sessions and (run := sessions[0].state.run) and run.verdict):
            if time.monotonic() - started > PATIENCE:
                raise TimeoutError("no verdict")
            await pilot.pause(0.2)
        await pilot.press("enter")  # the page of the first start
        await pilot.pause(1.5)
        target.write_text(tidy(app.export_screenshot(title="mltutor start")), encoding="utf-8")
        await pilot.press("q")


def main() -> None:
    """Both pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    exercise = find_exercise(load_course(), EXERCISE, None)
    fault = next(fault for fault in exercise.faults if fault.patch == FAULT)
    for name, files in (("leak", faulted_files(exercise, fault)), ("pass", solution_files(exercise))):
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["MLTUTOR_HOME"] = str(Path(scratch, "home"))
            asyncio.run(picture(folder / f"{name}.svg", files, Path(scratch)))


if __name__ == "__main__":
    main()
