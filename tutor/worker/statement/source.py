"""A statement as things to call: the whole of it, and each call in it with its arguments made anew every time."""

from __future__ import annotations

import ast
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tutor.worker.fixtures.closure import closure, constants

NAME = "<statement>"
MOST_CALLS = 6
_LABEL = 60
# What has a value of its own each time it is evaluated, or may not be evaluated at all.
_CLOSED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.BoolOp, ast.Await)
# Besides calls, nothing that runs code: then its calls are all there is to look at.
_PLAIN = (ast.Name, ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Starred, ast.Load, ast.keyword, ast.Call)

Objects = list[tuple[str, Any]]
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to call again and again. `make` evaluates function, arguments and keywords, in the user's names.

    whole: the statement itself, of which only what lasts from call to call can be watched.
    """

    label: str
    make: Callable[[], Call]
    names: dict[str, Any]
    lasting: Callable[[], Objects]
    whole: bool

    def objects(self, call: Call) -> Objects:
        """(path, object) of all that is watched during a call."""
        if self.whole:
            return closure(self.lasting())
        function, args, keywords = call
        roots: Objects = [(f"arg{i}", arg) for i, arg in enumerate(args)]
        roots += [(f"{name}=", value) for name, value in keywords.items()]
        owner = getattr(function, "__self__", None)
        if owner is not None and not isinstance(owner, types.ModuleType):
            roots.append(("self", owner))
        # What Python code does to None and True is not the business of the compiled code under it.
        native = not isinstance(function, types.FunctionType | types.MethodType)
        return closure(roots) + (constants() if native else [])

    def prepare(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], list[Any]]:
        """What the probe asks for before each call whose objects it counts."""
        call = self.make()
        return (*call, [value for _, value in self.objects(call)])

    def prepare_only(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], list[Any]]:
        """The same for other passes: nothing but the call itself holds its arguments."""
        return (*self.make(), [])


def check_syntax(setup: str, statement: str) -> None:
    """Raises SyntaxError, with `<setup>` or `<statement>` as its file name."""
    compile(setup, "<setup>", "exec")
    compile(statement, NAME, "exec")
    _function(ast.parse(statement, NAME).body, {})


def whole_statement(statement: str, names: dict[str, Any]) -> Subject:
    """The statement as one function without arguments; a single expression is what it returns."""
    body = ast.parse(statement, NAME).body
    if isinstance(body[-1], ast.Expr):
        body[-1] = ast.copy_location(ast.Return(body[-1].value), body[-1])
    function = _function(body, names)

    def make() -> Call:
        return function, (), {}

    def lasting() -> Objects:
        code = function.__code__
        found = [(repr(value)[:_LABEL], value) for value in code.co_consts if not isinstance(value, types.CodeType)]
        return found + [(name, names[name]) for name in code.co_names if name in names]

    return Subject(_short(statement), make, names, lasting, True)


def calls_of(statement: str, names: dict[str, Any]) -> tuple[Subject, ...]:
    """The calls that the statement surely makes, each once, outermost first."""
    body = ast.parse(statement, NAME).body
    found: dict[str, Subject] = {}
    for number, part in enumerate(body):
        for node in _sure_calls(part):
            label = ast.unparse(node)
            if label not in found and len(found) < MOST_CALLS:
                found[label] = _call_subject(body[:number], node, label, names)
    return tuple(found.values())


def called_names(statement: str, names: dict[str, Any]) -> list[Any]:
    """The functions and types that the statement calls anywhere by a plain name, as far as they are there already."""
    found = []
    for node in ast.walk(ast.parse(statement, NAME)):
        if isinstance(node, ast.Call):
            with suppress(LookupError, AttributeError, NameError):
                found.append(_look_up(node.func, names))
    return found


def _look_up(node: ast.expr, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Attribute):
        return getattr(_look_up(node.value, names), node.attr)
    return names[node.id] if isinstance(node, ast.Name) else None


def only_calls(statement: str) -> bool:
    """True when there is nothing in the statement but one call with simple arguments, which may be such calls."""
    body = ast.parse(statement, NAME).body
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        return False
    return all(isinstance(node, _PLAIN) for node in _without_functions(body[0].value))


def _without_functions(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes, but of the names that are called (`module.function`) only their calls."""
    yield node
    for field, value in ast.iter_fields(node):
        if field == "func" and isinstance(value, ast.Attribute | ast.Name):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _without_functions(child)


def _sure_calls(part: ast.stmt) -> Iterator[ast.Call]:
    value = getattr(part, "value", None)
    if not isinstance(part, ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign) or value is None:
        return
    front: list[ast.AST] = [value]
    while front:
        node = front.pop(0)
        if isinstance(node, ast.Call):
            yield node
        if not isinstance(node, _CLOSED):
            front += ast.iter_child_nodes(node)


def _call_subject(before: list[ast.stmt], node: ast.Call, label: str, names: dict[str, Any]) -> Subject:
    args = ast.Tuple(node.args, ast.Load())
    keywords = ast.Dict(
        [ast.Constant(k.arg) if k.arg else None for k in node.keywords], [k.value for k in node.keywords]
    )
    parts = ast.Tuple([node.func, args, keywords], ast.Load())
    make = _function([*before, ast.copy_location(ast.Return(parts), node)], names)
    return Subject(_short(label), make, names, list, False)


def _function(body: list[ast.stmt], names: dict[str, Any]) -> Callable[[], Any]:
    """A function of no arguments with this body, whose globals are `names`."""
    module = ast.parse("def statement(): pass", NAME)
    definition = module.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body = body or definition.body
    code = compile(ast.fix_missing_locations(module), NAME, "exec")
    inner = next(value for value in code.co_consts if isinstance(value, types.CodeType))
    return types.FunctionType(inner, names, "statement")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LABEL else f"{line[: _LABEL - 3]}..."
