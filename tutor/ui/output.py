"""Everything the tools and checks of a run printed, and the session's notices, as plain lines."""

from __future__ import annotations

from tutor.core.events import Notice
from tutor.core.state import RunState
from tutor.ui.typeset import wrap


def everything(run: RunState | None) -> str:
    """The compiler's output, then message, detail and print-outs of each check that has any."""
    if run is None:
        return "nothing has run yet\n"
    parts: list[str] = []
    if run.raw.strip():
        parts.append(f"== build ==\n{run.raw.rstrip()}\n")
    for check in run.checks:
        texts = [text.rstrip() for text in (check.message, check.detail, check.output) if text.strip()]
        if texts:
            parts.append(f"== {check.id}: {check.outcome} ==\n" + "\n".join(texts) + "\n")
    return "\n".join(parts) or "the tools and the checks printed nothing\n"


def said(notices: tuple[Notice, ...], width: int) -> str:
    """The notices, newest first, each with its remedy: sentences, so wrapped."""
    told = (
        "\n".join([*wrap(f"{one.level}: {one.text}", width), *(wrap(one.remedy, width, 4) if one.remedy else ())])
        for one in reversed(notices)
    )
    return "\n\n".join(told) or "no messages\n"
