"""Run as `python -m`: executes a cffi build script and emits its C, with line directives back into the script.

Arguments: SCRIPT MODULE OUTPUT.c WORDS.rsp [LIBRARY=INCLUDE ...]. Words that set_source was given (libraries, macros,
arguments) go into WORDS.rsp for the compiler. Ends with 1 and a traceback or one line when the script is at fault.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DIVIDER = "/************************************************************/"


def main(argv: list[str]) -> int:
    """Emit; 0, or 1 when the learner's script does not name what is needed."""
    script, module, output, words = argv[:4]
    sys.path.insert(0, str(Path(script).resolve().parent))
    names = runpy.run_path(script, run_name="mltutor_build")
    builder = names.get("ffibuilder")
    if builder is None:
        return _complain(script, "the script defines no `ffibuilder`")
    assigned = getattr(builder, "_assigned_source", None)
    if assigned is None:
        return _complain(script, "`ffibuilder.set_source(...)` was not called")
    name, preamble, _, options = assigned
    if name != module:
        return _complain(script, f"set_source names the module {name!r}, the checks import {module!r}")
    if preamble is None:
        return _complain(script, "set_source has no C source (None): that is ABI mode; API mode needs the #include")
    builder.emit_c_code(output)
    _add_line_directives(Path(output), Path(script), preamble)
    Path(words).write_text("".join(f"{_quoted(word)}\n" for word in _words(options)), encoding="utf-8")
    return 0


def _complain(script: str, message: str) -> int:
    print(f"{script}: error: {message}", file=sys.stderr)
    return 1


def _words(options: dict[str, Any]) -> Iterable[str]:
    here = Path.cwd()
    for folder in options.get("include_dirs") or ():
        yield f"-I{here / folder}"
    for macro, value in options.get("define_macros") or ():
        yield f"-D{macro}" if value is None else f"-D{macro}={value}"
    yield from options.get("extra_compile_args") or ()


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _add_line_directives(output: Path, script: Path, preamble: str) -> None:
    """Make the compiler name the script's own lines for the C that stands in its set_source string."""
    text, source = output.read_text(encoding="utf-8"), script.read_text(encoding="utf-8")
    start, place = source.find(preamble), text.find(preamble)
    if not preamble.strip() or start < 0 or place < 0:
        return
    line = source.count("\n", 0, start) + 1
    head, tail = text[:place], text[place + len(preamble) :]
    after = head.count("\n") + preamble.count("\n") + 4
    joined = f'{head}\n#line {line} "{script}"\n{preamble}\n#line {after} "{output.name}"\n{tail}'
    output.write_text(joined, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
