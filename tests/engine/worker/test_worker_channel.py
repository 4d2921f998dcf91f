"""The supervisor's end of the line to a child that is gone."""

from __future__ import annotations

from tutor.worker.channel import Inbox, open_channel


def test_a_line_to_a_child_that_has_hung_up_or_been_put_away_is_dropped() -> None:
    ours, theirs, token = open_channel()
    inbox = Inbox(ours, token)
    theirs.close()
    inbox.send(b"hung up")
    assert not inbox.socket.getblocking()
    inbox.socket.close()
    inbox.send(b"put away")
