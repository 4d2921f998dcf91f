"""The entry point: which command runs, what errors look like, and the exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module

from tutor.cli import waiting
from tutor.cli.arguments import make_parser
from tutor.core.errors import TutorError

PASS, FAIL, USAGE, ENVIRONMENT, DEFECT = 0, 1, 2, 3, 4
INTERRUPTED, BROKEN_PIPE = 128 + signal.SIGINT, 128 + signal.SIGPIPE

# Where each command lives; imported when it is called, so that `mltutor --help` loads nothing else.
COMMANDS = {
    "start": "tutor.cli.commands.start:start",
    "list": "tutor.cli.commands.browse:list_exercises",
    "next": "tutor.cli.commands.browse:next_exercise",
    "show": "tutor.cli.commands.browse:show",
    "hint": "tutor.cli.commands.browse:hint",
    "progress": "tutor.cli.commands.browse:progress",
    "check": "tutor.cli.commands.run:check",
    "bench": "tutor.cli.commands.run:bench",
    "build": "tutor.cli.commands.run:build",
    "diff": "tutor.cli.commands.compare:diff",
    "solution": "tutor.cli.commands.compare:solution",
    "reset": "tutor.cli.commands.files:reset",
    "undo": "tutor.cli.commands.files:undo",
    "verify": "tutor.cli.commands.prove:verify",
    "diagnose": "tutor.cli.commands.diagnose:diagnose",
    "doctor": "tutor.cli.commands.terminal:doctor",
    "reset-terminal": "tutor.cli.commands.terminal:reset_terminal",
    "completion": "tutor.cli.commands.terminal:completion",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: sys.argv) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    words = sys.argv[1:] if argv is None else argv
    parser = make_parser(words[0] if words and words[0] in COMMANDS else None)
    try:
        arguments = parser.parse_args(words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    return _guarded(arguments)


def _guarded(arguments: Namespace) -> int:
    if arguments.command == "start":
        # Nothing of what is loaded until the first paint is garbage: looking for some takes a tenth of the time.
        gc.disable()
        if not arguments.plain:
            waiting.show("mltutor is starting ")
    try:
        code = _find(arguments.command)(arguments)
        sys.stdout.flush()
        return code
    except TutorError as error:
        waiting.clear()
        return _report(error, arguments.json)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away; python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except Exception:  # noqa: BLE001 - the boundary: a defect of ours ends with its traceback and its own exit code
        waiting.clear()
        traceback.print_exc()
        print("mltutor: this is a bug in mltutor; please report it with the lines above", file=sys.stderr)
        return DEFECT


def _find(name: str) -> Callable[[Namespace], int]:
    module, _, function = COMMANDS[name].partition(":")
    command: Callable[[Namespace], int] = getattr(import_module(module), function)
    return command


def _report(error: TutorError, as_json: bool) -> int:
    """Tell the error on stderr, and as a document on stdout where one was asked for."""
    if as_json:
        import json

        details = {"message": error.message, "remedy": error.remedy, "exit_code": error.exit_code}
        print(json.dumps({"schema": 1, "error": details}, ensure_ascii=False))
    print(f"mltutor: {error.message}", file=sys.stderr)
    if error.remedy:
        print(f"  {error.remedy}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
