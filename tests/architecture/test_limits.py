"""House limits on size, and a docstring on every module; complexity is ruff's business."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "tutor").rglob("*.py"))
MAX_MODULE, MAX_FUNCTION = 300, 40
FORBIDDEN_NAMES = ("util", "helper", "manager", "common", "misc")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_module_is_small_and_says_what_it_owns(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{name(path)} has no docstring"
    assert len(text.splitlines()) <= MAX_MODULE
    assert not any(word in path.stem for word in FORBIDDEN_NAMES)
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION
    }
    assert long == {}


def test_a_broad_except_stands_only_at_a_boundary() -> None:
    boundaries = {"tutor/cli/main.py"}
    broad = {
        name(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
        and not raises_again(node)
    }
    assert {p for p in broad if not p.startswith("tutor/worker/")} <= boundaries


def raises_again(handler: ast.ExceptHandler) -> bool:
    """True for clean-up: the handler ends by raising what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
