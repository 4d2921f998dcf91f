"""The passes over one call: freed objects, references and memory, the GIL, failures, buffers that end at a wall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from tutor.core.diagnosis import NativeFinding, NativePlace
from tutor.core.finding import Finding, Severity
from tutor.worker.crash import broken_contract, signal_name
from tutor.worker.probe import library
from tutor.worker.probe.forked import LEFT, Reply, run_forked
from tutor.worker.probe.seen import Survey, read_exhumed, read_intervals, read_survey
from tutor.worker.probe.suspects import Subject as Watched
from tutor.worker.probe.suspects import Suspect, suspect_contract, suspect_freed, suspect_leaks, suspect_overruns
from tutor.worker.statement.books import Books
from tutor.worker.statement.naming import Names, blamed
from tutor.worker.statement.source import Subject

CALLS, CONFIRMING = 6, 26
LONG_HELD = 0.02
GIL_SECONDS = 4.0
_SINGLETONS = {"None", "True", "False"}
_LOST = ("ref-underflow", "borrowed-return")


@dataclass(frozen=True, slots=True)
class Looker:
    """What the passes need. `clear` drops the user's names; `seconds` bounds one pass; `once`: the statement alone."""

    names: Names
    clear: Callable[[], None]
    books: Books
    seconds: float
    once: float = 0.0

    def survey(
        self, subject: Subject, calls: int, fail_at: int = -1, explain: bool = False, holders: bool = False
    ) -> Reply:
        """`calls` calls under watch; explain: then without what somebody can be seen to hold, or (holders) let go."""

        def end() -> None:
            subject.names.clear()
            self.clear()

        def body() -> Any:
            return library.probe().rounds(subject.prepare, calls, fail_at, end if explain else None, holders)

        return run_forked(body, self.seconds)

    # ---- the passes ----

    def freed(self, subject: Subject) -> tuple[list[NativeFinding], str]:
        """Uses of freed objects, calls without the GIL; or the crash in which that ended. The text: not looked at."""
        reply = run_forked(lambda: library.probe().rounds_freed(subject.prepare_only, 3), self.seconds)
        if reply.value is None:
            return self._death(reply, subject)
        found = [s for s in suspect_freed(read_exhumed(reply.value)) if s.code != "exception-contract"]
        return [self.found(s, subject) for s in found], ""

    def leaks(self, subject: Subject) -> tuple[list[NativeFinding], str]:
        """References, objects and memory that every call gains or loses."""
        reply = self.survey(subject, CALLS)
        if reply.value is None:
            return self._death(reply, subject)
        seen = read_survey(reply.value)
        watched = _watched(subject)
        suspects = [*suspect_overruns(seen), *self._confirmed(subject, seen, watched, -1)]
        suspects += suspect_contract(seen.exception)
        return [self.found(suspect, subject) for suspect in suspects], ""

    def overruns(self, subject: Subject) -> list[NativeFinding]:
        """Blocks that a call writes past their end; their fences save what lies behind, and so often the process."""
        reply = self.survey(subject, 1)
        suspects = [] if reply.value is None else suspect_overruns(read_survey(reply.value))
        return [self.found(suspect, subject) for suspect in suspects]

    def _confirmed(self, subject: Subject, seen: Survey, watched: Sequence[Watched], fail_at: int) -> list[Suspect]:
        """Suspects that four times as many calls show again, and that no visible holder has taken or let go."""
        first = [s for s in suspect_leaks(seen, watched) if fail_at >= 0 or self._booked(s)]
        if not first:
            return []
        lost = any(s.code in _LOST for s in first)
        reply = self.survey(subject, CONFIRMING, fail_at, explain=True, holders=lost)
        if reply.value is None:
            return []
        later = read_survey(reply.value)
        again = {s.key: s for s in suspect_leaks(_unexplained(later, watched), watched)}
        return [s for s in first if s.key in again and abs((again[s.key].per_call or 0) - (s.per_call or 0)) < 0.5]

    def _booked(self, suspect: Suspect) -> bool:
        """What is new and never freed must show in the books of the process."""
        new = suspect.code == "memory-leak" or suspect.what.startswith("new ")
        return not new or self.books.grows

    def gil(self, subject: Subject) -> tuple[list[NativeFinding], str]:
        """A note when every call holds the GIL for long."""
        # Three calls at nearly their own speed; one that waits for a thread which is held up by the watch never ends.
        patience = min(self.seconds, GIL_SECONDS + 20 * self.once)
        reply = run_forked(lambda: library.probe().rounds_gil(subject.prepare_only, 3), patience)
        if reply.value is None:
            return [], _why(reply)
        held = read_intervals(reply.value).longest_held_ns / 1e9
        if held < LONG_HELD:
            return [], ""
        text = f"the GIL is held for {held * 1e3:.0f} ms at a stretch: no other Python thread runs meanwhile"
        finding = Finding("gil-held", text, severity=Severity.NOTE)
        return [NativeFinding(finding, subject.label, self.entry(subject))], ""

    # ---- findings ----

    def found(self, suspect: Suspect, subject: Subject, when: str = "") -> NativeFinding:
        """A suspect with its name: the first of its sites that is known."""
        places = [place for site in suspect.sites if (place := self.names.place(site))]
        # What begins with a name of the user's stays as it is.
        named = suspect.what and suspect.text.startswith(suspect.what)
        text = suspect.text if named else _sentence(suspect.text)
        finding = Finding(suspect.code, f"{text}{when}", type=suspect.type, per_call=suspect.per_call)
        return NativeFinding(finding, subject.label, places[0] if places else self.entry(subject))

    def entry(self, subject: Subject) -> NativePlace | None:
        """The C function that a call begins in."""
        return None if subject.whole else self.names.of_function(subject.make()[0])

    def _death(self, reply: Reply, subject: Subject) -> tuple[list[NativeFinding], str]:
        if reply.signal and not reply.late:
            return [self.crash(reply, subject)], ""
        return [], _why(reply)

    def crash(self, reply: Reply, subject: Subject) -> NativeFinding:
        """A signal, with the stack of native code."""
        stack = self.names.stack(reply.crash)
        finding = Finding("crash", signal_name(reply.signal))
        if rule := broken_contract(reply.crash):
            finding = Finding("exception-contract", _sentence(rule))
        if reply.crash is not None and reply.crash.guard:
            access = {True: "Writes", False: "Reads", None: "Reads or writes"}[reply.crash.write]
            finding = Finding("out-of-bounds", f"{access} past the end of a buffer")
        return NativeFinding(finding, subject.label, blamed(stack), stack)

    def fail(self, subject: Subject, fail_at: int, name: str) -> list[NativeFinding]:
        """What goes wrong when this call of the API fails."""
        reply = self.survey(subject, 4, fail_at)
        when = f" when {name} fails"
        if reply.value is None:
            return [_softened(f, when) for f in self._death(reply, subject)[0]]
        seen = read_survey(reply.value)
        if seen.failed is None:
            return []
        suspects = self._confirmed(subject, seen, _watched(subject), fail_at) + suspect_contract(seen.exception)
        moved = [replace(s, code="error-path", sites=s.sites or (seen.failed.site,)) for s in suspects]
        return [_softened(self.found(s, subject), when) for s in moved]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _softened(found: NativeFinding, when: str) -> NativeFinding:
    finding = found.finding
    text = f"{finding.message}: crashes" if finding.code in ("crash", "out-of-bounds") else finding.message
    return replace(found, finding=structs.replace(finding, code="error-path", message=f"{text}{when}"))


def _watched(subject: Subject) -> list[Watched]:
    return [Watched(path, type(value).__name__) for path, value in subject.objects(subject.make())]


def _unexplained(seen: Survey, watched: Sequence[Watched]) -> Survey:
    """Without gained references that turned out to belong to somebody; nobody can tell for None.

    And without lost ones that were somebody's before the call: an object that goes, or is closed, gives back its own.
    """
    kept = []
    for row in seen.watched:
        gained = row.series[-1]
        if gained > 0 and watched[row.index].path not in _SINGLETONS and row.kept < 0.5 * gained:
            continue
        if gained < 0 and gained + row.dropped > 0.5 * gained:
            continue
        kept.append(structs.replace(row, owed=max(0, row.owed - max(0, row.yielded))))
    return structs.replace(seen, watched=kept)


def _why(reply: Reply) -> str:
    if reply.late:
        return "it takes too long under watch"
    return "the process ended itself" if reply.error == LEFT else reply.error or "it died"


def unattributed(books: Books, subject: Subject) -> list[NativeFinding]:
    """Findings from the books alone, for what no other pass has named."""
    found: list[Finding] = []
    if books.unknown and (books.blocks or books.bytes):
        return []
    if books.blocks:
        number = f"{books.blocks:g} block{'s' * (books.blocks != 1)}"
        text = f"Keeps {number} of Python's memory a call, {books.bytes:g} bytes of malloc's"
        found = [Finding("memory-leak", text, per_call=books.blocks)]
    elif books.bytes:
        found = [Finding("memory-leak", f"Keeps {books.bytes:g} bytes a call, from malloc", per_call=books.bytes)]
    else:
        # Exact, however few the calls were; and where nothing new is kept, nothing new can hold them.
        found = [_lost(*row) for row in books.references]
    return [NativeFinding(finding, subject.label) for finding in found]


def _lost(what: str, kind: str, per_call: float) -> Finding:
    count = f"{abs(per_call):g} reference{'s' * (abs(per_call) != 1)} a call"
    if per_call < 0:
        return Finding("ref-underflow", f"{what} ({kind}) loses {count}", type=kind, per_call=per_call)
    # Cython (3.2 was seen) does not release the type of its own generators, in every module that it makes.
    severity = Severity.NOTE if what.startswith("_cython_") else Severity.ERROR
    code = "type-leak" if kind == "type" else "ref-leak"
    return Finding(code, f"{what} ({kind}) gains {count}", type=kind, per_call=per_call, severity=severity)
