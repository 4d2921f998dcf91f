"""The command verify: proves exercises and shows the rows as they come."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from tutor.cli import documents
from tutor.cli.context import Context
from tutor.content.lookup import find_exercise
from tutor.core.verdict import Outcome
from tutor.engine.verify import VerifyRow
from tutor.engine.verify import verify as prove

_STYLES = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.ERROR: "red", Outcome.SKIPPED: "yellow"}


def verify(arguments: Namespace) -> int:
    """0 when everything is proved (skipped counts as a reason given), 1 when not, 3 when only the environment fails."""
    context = Context(arguments)
    ids = [find_exercise(context.course, text, context.workspace.root).id for text in arguments.exercise]
    rows = asyncio.run(_collect(context, ids, arguments))
    good = not context.problems and all(row.outcome in (Outcome.PASS, Outcome.SKIPPED) for row in rows)
    if context.output.as_json:
        document = documents.rows_document("rows", rows, good)
        document["problems"] = [problem.message for problem in context.problems]
        context.output.document(document)
    else:
        _show_sum(context, rows)
    if good:
        return 0
    failed = context.problems or any(row.outcome is Outcome.FAIL for row in rows)
    return 1 if failed else 3


async def _collect(context: Context, ids: list[str], arguments: Namespace) -> list[VerifyRow]:
    rows: list[VerifyRow] = []
    for turn in range(1, arguments.repeat + 1):
        if arguments.repeat > 1 and not arguments.json:
            context.output.text((f"turn {turn} of {arguments.repeat}", "bold"))
        async for row in prove(context.course, ids, arguments.jobs, context.home, context.launcher):
            rows.append(row)
            if not arguments.json:
                _show_row(context, row)
    return rows


def _show_row(context: Context, row: VerifyRow) -> None:
    output = context.output
    sign, style = output.glyphs.outcome(row.outcome), _STYLES[row.outcome]
    subject = row.name if row.what == "fault" else f"{row.what} {row.name}" if row.what == "alternative" else row.what
    output.text((sign, style), f" {row.exercise:<14} {subject:<34}", (f" {row.seconds:6.2f} s", "dim"))
    if row.message:
        output.text(row.message, indent=17)


def _show_sum(context: Context, rows: list[VerifyRow]) -> None:
    from tutor.cli.render.tables import show_rows

    names = list(dict.fromkeys(row.exercise for row in rows))
    if len(names) > 1:
        context.output.blank()
        show_rows(
            context.output,
            ("exercise", "folder", "starter", "solution", "others", "faults"),
            [_sum(n, rows, context) for n in names],
        )
    count = {outcome: sum(row.outcome is outcome for row in rows) for outcome in Outcome}
    said = ", ".join(f"{number} {outcome}" for outcome, number in count.items() if number)
    context.output.blank()
    context.output.text(f"{len(rows)} proofs: {said}" if rows else "nothing to prove")


def _sum(name: str, rows: list[VerifyRow], context: Context) -> tuple[tuple[str, str], ...]:
    def cell(what: str) -> tuple[str, str]:
        found = [row.outcome for row in rows if row.exercise == name and row.what == what]
        worst = next((o for o in (Outcome.FAIL, Outcome.ERROR, Outcome.SKIPPED) if o in found), Outcome.PASS)
        good = sum(outcome is Outcome.PASS for outcome in found)
        count = f" {good}/{len(found)}" if len(found) != 1 else ""
        return (context.output.glyphs.outcome(worst) + count, _STYLES[worst]) if found else ("", "")

    return ((name, ""), cell("folder"), cell("starter"), cell("solution"), cell("alternative"), cell("fault"))
