"""The zygotes of a session: one a flavour, and those that load instrumented builds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tutor.engine.zygote import Flavour, Prepare, Zygote


class Zygotes:
    """The zygotes of a session by flavour, each made when first asked for."""

    def __init__(
        self, launcher: Sequence[str] = (), command: Sequence[str] = (), prepare: Prepare | None = None
    ) -> None:
        self._launcher, self._command, self._prepare = tuple(launcher), tuple(command), prepare
        self._by_flavour: dict[Flavour, Zygote] = {}
        self._instrumented: dict[tuple[str, Flavour], Zygote] = {}

    def of(self, flavour: Flavour) -> Zygote:
        """The zygote of a flavour; not started yet when it is new."""
        if flavour not in self._by_flavour:
            # What translates is a compiler: it needs no place on the machine where the code runs.
            launcher = () if flavour == "cython" else self._launcher
            self._by_flavour[flavour] = Zygote(flavour, launcher, self._command, self._prepare)
        return self._by_flavour[flavour]

    def instrumented(self, name: str, prefix: Sequence[str], flavour: Flavour = "plain") -> Zygote:
        """The zygote that loads the builds of a sanitizer: `prefix` starts it with the runtime, at low priority.

        Without the probe and the crash handler, whose signals and allocator hooks the sanitizer has its own of.
        """
        key = (name, flavour)
        if key not in self._instrumented:
            self._instrumented[key] = Zygote(flavour, self._launcher, self._command, prefix=prefix)
        return self._instrumented[key]

    async def close(self) -> None:
        """End all of them."""
        await asyncio.gather(*(zygote.close() for zygote in (*self._by_flavour.values(), *self._instrumented.values())))
