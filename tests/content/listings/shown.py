"""Runs a file as a reader types it: the value of each expression, or what it raises, goes into the list `shown`."""

import ast
import sys
from pathlib import Path


def run(text: str, name: str) -> None:
    names = {"shown": [], "__name__": "__main__"}
    for statement in ast.parse(text, name).body:
        if isinstance(statement, ast.Expr):
            code = compile(ast.Expression(statement.value), name, "eval")
            try:
                names["shown"].append(eval(code, names))
            except Exception as error:  # noqa: BLE001 - listings show errors, too
                names["shown"].append(error)
        else:
            exec(compile(ast.Module([statement], []), name, "exec"), names)


if __name__ == "__main__":
    sys.path.insert(0, "")
    run(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[1])
