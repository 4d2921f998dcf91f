"""The signs the panels are drawn with, in Unicode and in plain ASCII for terminals without UTF-8."""

from __future__ import annotations

from msgspec import Struct

from tutor.core.verdict import Outcome


class Glyphs(Struct, frozen=True):
    """One sign a meaning; every sign is one cell wide."""

    passed: str = "✓"
    failed: str = "✗"
    error: str = "!"
    skipped: str = "–"
    pending: str = "·"
    running: str = "▸"
    open: str = "▾"
    closed: str = "▸"
    here: str = "●"
    gold: str = "★"
    unsure: str = "?"
    full: str = "█"
    between: str = "▒"
    mark: str = "┃"
    tick: str = "▴"
    rule: str = "│"
    flat: str = "─"
    dot: str = "·"
    times: str = "×"
    micro: str = "µ"
    ellipsis: str = "…"
    dash: str = "–"
    arrow: str = "→"
    spark: str = "▁▂▃▄▅▆▇█"

    def outcome(self, outcome: Outcome) -> str:
        """The sign of an outcome."""
        return {
            Outcome.PASS: self.passed,
            Outcome.FAIL: self.failed,
            Outcome.ERROR: self.error,
            Outcome.SKIPPED: self.skipped,
        }[outcome]


UNICODE = Glyphs()
ASCII = Glyphs(
    passed="+",
    failed="x",
    skipped="-",
    pending=".",
    running=">",
    open="v",
    closed=">",
    here="@",
    gold="*",
    full="#",
    between="=",
    mark="|",
    tick="^",
    rule="|",
    flat="-",
    dot="-",
    times="x",
    micro="u",
    ellipsis="~",
    dash="-",
    arrow=">",
    spark="_.-=+*%#",
)
