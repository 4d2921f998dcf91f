"""The arguments of every command. What a command does is in tutor.cli.commands."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

_Add = Callable[..., argparse.ArgumentParser]
SHELLS = ("bash", "zsh", "fish")
# What shtab writes into the completion script to ask for exercise ids.
COMPLETE_EXERCISE = {
    "bash": "_mltutor_exercises",
    "zsh": "_mltutor_exercises",
    "fish": "(mltutor list --ids 2>/dev/null)",
}

_EPILOG = """\
EXERCISE is an id (capi-refs), a number (3.1) or a path in the workspace; without it, the exercise of the folder you are
in, or the current one. Exit codes: 0 pass, 1 your code fails, 2 wrong usage, 3 something is missing here, 4 a defect of
mltutor."""


class _Version(argparse.Action):
    """Prints the version; looked up only when asked for, as that reads the installed packages."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata  # 15 ms that only --version needs

        try:
            version = metadata.version("mltutor")
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        print(f"mltutor {version}")
        parser.exit()


class _Skipped(argparse.ArgumentParser):
    """Takes what is said of a command that is not asked for: twenty real parsers are made in 5 ms."""

    def __init__(self) -> None:
        # Nothing of a parser's own: nobody will parse with it.
        pass

    def add_argument(self, *names: str, **options: object) -> argparse.Action:
        """Nothing."""
        return argparse.Action((), "")


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line; with `only`, of a line whose first word is this command."""
    parser = argparse.ArgumentParser(
        prog="mltutor",
        description="Learn systems programming for machine learning: every save is built, checked and benchmarked.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    _add_globals(parser, defaults=True)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    add = _Commands(commands, only).add
    _add_reading(add)
    _add_running(add)
    _add_changing(add)
    _add_rest(add)
    return parser


def _add_globals(parser: argparse.ArgumentParser, defaults: bool) -> None:
    """Options that stand before or after the command; only the outer one has defaults, so neither undoes the other."""

    def unset(value: object) -> object:
        return value if defaults else argparse.SUPPRESS

    group = parser.add_argument_group("everywhere")
    workspace = "your files (default: workspace/ of a checkout, else ~/mltutor; MLTUTOR_WORKSPACE)"
    _folder(group.add_argument("--workspace", metavar="DIR", default=unset(None), help=workspace))
    _folder(group.add_argument("--lessons", metavar="DIR", default=unset(None), help="another tree of lessons"))
    launcher = 'prefix for the processes that run your code, e.g. "srun --overlap"'
    group.add_argument("--launcher", metavar="CMD", default=unset(""), help=launcher)
    group.add_argument("--json", action="store_true", default=unset(False), help="print one JSON document")
    group.add_argument("--plain", action="store_true", default=unset(False), help="numbered lines, ASCII, no colour")


def _folder(action: argparse.Action) -> None:
    action.complete = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/"}  # type: ignore[attr-defined]


class _Commands:
    """Adds commands that all know the global options."""

    def __init__(self, commands: argparse._SubParsersAction[argparse.ArgumentParser], only: str | None) -> None:
        self._commands, self._only = commands, only

    def add(self, name: str, text: str, hidden: bool = False) -> argparse.ArgumentParser:
        if self._only not in (None, name):
            return _Skipped()
        description = text[:1].upper() + text[1:]
        if hidden:
            parser = self._commands.add_parser(name, description=description, allow_abbrev=False)
        else:
            parser = self._commands.add_parser(name, description=description, allow_abbrev=False, help=text)
        _add_globals(parser, defaults=False)
        return parser


def _exercise(parser: argparse.ArgumentParser, nargs: str | None = "?") -> None:
    action = parser.add_argument("exercise", metavar="EXERCISE", nargs=nargs, help="id, number or path")
    action.complete = COMPLETE_EXERCISE  # type: ignore[attr-defined]


def _add_reading(add: _Add) -> None:
    start = add("start", "open the app: watch, build, check and benchmark at every save")
    _exercise(start)
    start.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    edit = "what the key e starts instead of $EDITOR, with {file} and {line} (default: MLTUTOR_EDIT_CMD)"
    start.add_argument("--edit-cmd", metavar="CMD", default=os.environ.get("MLTUTOR_EDIT_CMD", ""), help=edit)
    listed = add("list", "list the lessons and exercises")
    listed.add_argument("--ids", action="store_true", help="only the ids, one a line")
    add("next", "name the next exercise that has not passed")
    _exercise(add("show", "print the text of an exercise"))
    hint = add("hint", "print the next hint")
    _exercise(hint)
    hint.add_argument("--level", type=_count, metavar="N", help="print the hints up to this one")
    add("progress", "show what has passed, how fast, and with how many hints")


def _add_running(add: _Add) -> None:
    check = add("check", "build, check, diagnose and benchmark your code once")
    _exercise(check)
    check.add_argument("--no-bench", action="store_true", help="leave the benchmark out")
    check.add_argument("--sanitize", action="store_true", help="then once more under AddressSanitizer, UBSan, TSan")
    bench = add("bench", "time your code")
    _exercise(bench)
    bench.add_argument("--against", choices=("solution", "starter", "pass", "baseline"), default="baseline")
    diff = add("diff", "compare your code with the solution, side by side")
    _exercise(diff)
    diff.add_argument("--against", choices=("solution", "starter", "pass"), default="solution")
    diff.add_argument("--bench", action="store_true", help="time both, too")
    diff.add_argument("--yes", action="store_true", help="don't ask before showing a solution that you have not earned")
    verify = add("verify", "prove exercises: starter fails, solution passes, every fault is caught by name")
    _exercise(verify, "*")
    verify.add_argument("--jobs", type=_count, default=1, metavar="N", help="exercises at once (default 1)")
    verify.add_argument("--repeat", type=_count, default=1, metavar="N", help="run everything N times, to find flakes")
    build = add("build", "build an exercise and print its artifact as JSON", hidden=True)
    _exercise(build)


def _add_changing(add: _Add) -> None:
    solution = add("solution", "print the reference solution")
    _exercise(solution)
    solution.add_argument("--yes", action="store_true", help="don't ask, also when the exercise has not passed")
    reset = add("reset", "put the starter back; your version is kept, `undo` brings it back")
    _exercise(reset)
    reset.add_argument("--yes", action="store_true", help="don't ask")
    undo = add("undo", "bring back what the last reset replaced; again to go forward")
    _exercise(undo)
    undo.add_argument("--list", action="store_true", help="list the kept versions and what each changed")
    undo.add_argument("--to", type=_count, metavar="N", help="bring back kept version N")


def _add_rest(add: _Add) -> None:
    add("doctor", "say which toolchains work here, what is missing and how to get it")
    _add_diagnose(add("diagnose", "name the defects of any installed extension module that a statement calls"))
    add("reset-terminal", "repair a terminal that a killed program left in a mess")
    completion = add("completion", "print a completion script for your shell")
    completion.add_argument("shell", choices=SHELLS)


_DIAGNOSE = """\
Like `python -m timeit`: SETUP runs once, STATEMENT (several are its lines) again and again, in copies of a process that
may crash. Each call in it gets new arguments every time; a call in a loop or a `with` is only looked at as a whole.

  mltutor diagnose -s "import ujson" "ujson.dumps([1.5, {}])"
  mltutor diagnose -s "import numpy as np; a = np.ones(9)" "np.add(a, a)" --json

Exit codes: 0 nothing found (notes do not count), 1 something found, 2 wrong usage or an exception in your own code, 3 a
module is not installed or this machine can't be watched, 4 a defect of mltutor."""


def _add_diagnose(parser: argparse.ArgumentParser) -> None:
    parser.epilog, parser.formatter_class = _DIAGNOSE, argparse.RawDescriptionHelpFormatter
    parser.add_argument("statement", metavar="STATEMENT", nargs="+", help="what is examined")
    parser.add_argument("-s", "--setup", metavar="SETUP", action="append", default=[], help="what runs once before it")
    text = "for one run of the statement (default 10)"
    parser.add_argument("--seconds", type=_seconds, metavar="S", default=10.0, help=text)
    parser.add_argument("--memory", type=_count, metavar="MIB", default=2048, help="the most that it may use (2048)")
    parser.add_argument("--faults", action="store_true", help="also make each call of the Python API fail once")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 3600")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
