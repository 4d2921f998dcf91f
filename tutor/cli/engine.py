"""The engine as commands use it: one session, one run, a line on stderr that says what happens meanwhile."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from tutor.cli.commands.browse import tell_notice
from tutor.cli.context import Context
from tutor.cli.output import clean
from tutor.cli.render.verdict import Report
from tutor.core import events as e
from tutor.core.exercise import Exercise
from tutor.core.state import State
from tutor.core.verdict import Outcome, Verdict
from tutor.engine.session import Session

_ERASE = "\r\x1b[K"


def run_once(context: Context, exercise: Exercise, bench: bool, sanitize: bool = False) -> Report:
    """Build, check and (with `bench`) time what is in the workspace. Raises TutorError."""
    return _with_session(context, exercise, lambda session: session.run_once(exercise, bench, sanitize))


def bench_against(context: Context, exercise: Exercise, against: str) -> Report:
    """Time what is in the workspace against `baseline`, `solution`, `starter` or `pass`. Raises TutorError."""
    return _with_session(context, exercise, lambda session: session.bench_against(exercise, against))  # type: ignore[arg-type]


def exit_code(verdict: Verdict) -> int:
    """0 pass, 1 the learner's code fails, 3 it could not be run here."""
    return {Outcome.PASS: 0, Outcome.FAIL: 1}.get(verdict.verdict, 3)


def _with_session(context: Context, exercise: Exercise, work: Callable[[Session], Awaitable[Verdict]]) -> Report:
    return asyncio.run(_session(context, exercise, work))


async def _session(context: Context, exercise: Exercise, work: Callable[[Session], Awaitable[Verdict]]) -> Report:
    async with Session(context.course, context.workspace, context.home, context.launcher, watch=False) as session:
        follower = asyncio.create_task(_follow(session))
        await asyncio.sleep(0)
        verdict = await work(session)
        run, past, roof = session.state.run, session.state.past, session.state.roof
    await follower
    return Report(
        exercise,
        verdict,
        context.workspace.read(exercise),
        ", ".join(context.shown(path) for path in context.workspace.paths(exercise)),
        run.raw if run else "",
        run.cached if run else False,
        len(run.announced) if run else 0,
        past,
        roof,
    )


async def _follow(session: Session) -> None:
    """Tell notices, and on a terminal what runs now, on stderr; the line is gone at the end."""
    live = sys.stderr.isatty()
    async for event, state in session.events():
        if isinstance(event, e.Notice):
            _status("", live)
            tell_notice(event)
        else:
            _status(_now(event, state), live)
    _status("", live)


def _status(text: str | None, live: bool) -> None:
    if live and text is not None:
        print(f"{_ERASE}{clean(text)[:78]}", end="", file=sys.stderr, flush=True)


def _now(event: e.Event, state: State) -> str | None:
    run = state.run
    match event:
        case e.StageStarted(stage=stage, detail=detail):
            return f"{stage}: {detail}" if detail else stage
        case e.CheckFinished() if run:
            return f"check: {len(run.checks)} of {len(run.announced)}"
        case e.BenchMeasured(result=result):
            return f"bench: {result.case} {result.speedup:.2f}x after {result.pairs} pairs"
        case e.Examined(state="running", title=title):
            return f"diagnose: {title}"
        case e.RunFinished() | e.RunCancelled():
            return ""
        case _:
            return None
