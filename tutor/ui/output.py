"""Everything the tools and checks of a run printed, and the session's notices, as plain lines."""

from __future__ import annotations

from tutor.core.events import Notice
from tutor.core.state import RunState


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


def said(notices: tuple[Notice, ...]) -> str:
    """The notices, newest first, each with its remedy."""
    lines = [f"{n.level}: {n.text}" + (f"\n    {n.remedy}" if n.remedy else "") for n in reversed(notices)]
    return "\n\n".join(lines) or "no messages\n"
