"""The app on a fake session that goes round through every kind of verdict: `python tests/ui/demo.py [SCENE]`."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import fake_session as fakes

from tutor.core import events as e
from tutor.ui.app import TutorApp


class DemoSession(fakes.FakeSession):
    """Answers `r` with the next scene, slowly enough to watch."""

    scenes = (fakes.build_error, fakes.failing, fakes.passing)
    turn = 0

    async def handle(self, intent: e.Intent) -> None:
        await super().handle(intent)
        if isinstance(intent, e.Run):
            self.turn += 1
            for event in self.scenes[self.turn % len(self.scenes)](self.turn):
                if isinstance(event, e.RunStarted):
                    event = e.RunStarted(event.run_id, event.exercise, event.digest, time.time())
                self.feed(event)
                await asyncio.sleep(0.15)


def main() -> int:
    scene = getattr(fakes, sys.argv[1]) if len(sys.argv) > 1 else fakes.failing
    session = DemoSession((*fakes.opening(), *fakes.preparing(), e.ExerciseOpened("capi-refs"), *scene()))
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else ".")
    app = TutorApp(lambda: session, fakes.course(), fakes.FakeMaterial(folder), start="capi-refs")
    return app.run() or 0


if __name__ == "__main__":
    sys.exit(main())
