"""Cython in the warm process: one .pyx to C in a fork, its errors as text."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable
from typing import Any

from tutor.core import protocol


def translate(request: protocol.Cythonize, send: Callable[[protocol.Reply], None]) -> None:
    """Translate and report; errors of the learner's code are `failed` with Cython's own text."""
    started = time.monotonic()
    # line directives: a crash in the C names the line of the .pyx
    options: dict[str, Any] = {"annotate": request.annotate, "cplus": request.cplus, "emit_linenums": True}
    if request.shared:
        options["shared_utility_qualified_name"] = request.shared
    ok, text = compile_quietly(request.source, request.output, **options)
    ok = ok and os.path.exists(request.output)
    send(protocol.Done(request.run_id, "ok" if ok else "failed", text, time.monotonic() - started))


def compile_quietly(source: str, output: str, **options: Any) -> tuple[bool, str]:
    """(translated, what Cython printed). `options` go to Cython's compiler."""
    from Cython.Compiler.Errors import CompileError
    from Cython.Compiler.Main import compile as cython_compile

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            result = cython_compile(source, output_file=output, language_level=3, **options)
        except CompileError as error:
            return False, said.getvalue() or str(error)
    return result.num_errors == 0, said.getvalue()
