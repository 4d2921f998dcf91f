"""What the app tells in a corner of the screen: never in the way of the next thing, and kept for `m`."""

from __future__ import annotations

import time
from typing import Literal

from textual import events
from textual.app import App
from textual.notifications import Notification

from tutor.core.events import Notice
from tutor.ui.typeset import clean

Level = Literal["info", "warning", "error"]
_KEPT = 20
_STAYS = {"info": 5.0, "warning": 15.0, "error": 15.0}
# For so long a key does not take a notice away: it may come with the key that is being pressed.
_UNREAD = {"information": 0.3, "warning": 4.0, "error": 4.0}


class TellingApp(App[int], inherit_bindings=False):
    """An app with notices."""

    def __init__(self) -> None:
        # Said here already, or NO_COLOR would choose its filter for a theme of RGB colours: black on black.
        super().__init__(ansi_color=True)
        self._told: list[Notice] = []

    @property
    def told(self) -> tuple[Notice, ...]:
        """The newest notices, oldest first."""
        return tuple(self._told)

    def tell(self, text: str, remedy: str = "", level: Level = "info") -> None:
        """Show a notice; errors and warnings stay longer, and `m` lists all.

        Shown are the newest that merely informs, and the two newest of the others.
        """
        notice = Notice(level, clean(text), clean(remedy))
        if notice not in self._told[-1:]:
            self._told = [*self._told[1 - _KEPT :], notice]
        severity: Literal["information", "warning", "error"] = "information" if level == "info" else level
        words = notice.text + (f"\n{notice.remedy}" if notice.remedy else "")
        self._make_room(severity, words)
        # At once, not by a message: one that comes in the same moment must find it.
        self._notifications.add(Notification(words, severity=severity, timeout=_STAYS[level], markup=False))
        self._refresh_notifications()

    def _make_room(self, severity: str, words: str) -> None:
        """A full disk is told by everything that wants to write: not one notice over the other up to the top."""
        informs = severity == "information"
        alike = [one for one in self._notifications if (one.severity == "information") == informs]
        stays = [] if informs else [one for one in alike if one.message != words][-1:]
        self._put_away([one for one in alike if one not in stays])

    async def on_event(self, event: events.Event) -> None:
        """A key goes on to something else: what has been read does not cover the answer."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            now = time.time()
            self._put_away([one for one in self._notifications if now - one.raised_at > _UNREAD[one.severity]])
        await super().on_event(event)

    def _put_away(self, notifications: list[Notification]) -> None:
        for notification in notifications:
            self._unnotify(notification, refresh=False)
        if notifications:
            self._refresh_notifications()
