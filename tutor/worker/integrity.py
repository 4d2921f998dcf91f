"""Proof that what judges the learner's code is unchanged: taken before it loads, compared after it ran."""

from __future__ import annotations

import sys
import types
from typing import Any, NamedTuple

from tutor.worker.probe import library

# The code that decides, and what it decides with. Where a module is not loaded there is nothing to compare.
JUDGES = [
    "builtins",
    "time",
    "os",
    "sys",
    "math",
    "operator",
    "statistics",
    "inspect",
    "functools",
    "itertools",
    "copy",
    "gc",
    "ctypes",
    "random",
    "secrets",
    "unittest",
    "unittest.case",
    "pytest",
    "pluggy",
    "pluggy._hooks",
    "pluggy._callers",
    "pluggy._manager",
    "pluggy._result",
    "_pytest.runner",
    "_pytest.outcomes",
    "_pytest.python",
    "_pytest.python_api",
    "_pytest.raises",
    "_pytest.reports",
    "_pytest.nodes",
    "_pytest.fixtures",
    "_pytest.main",
    "_pytest.config",
    "_pytest._code.code",
    "_pytest.assertion.rewrite",
    "_pytest.assertion.util",
    "_pytest.skipping",
    "msgspec",
    "msgspec.json",
    "numpy",
    "numpy.testing",
    "numpy.testing._private.utils",
    "numpy._core.numeric",
    "numpy.random",
    "hypothesis",
    "hypothesis.core",
    "torch",
    "torch.testing",
    "torch.testing._comparison",
    "torch.autograd",
    "torch.autograd.gradcheck",
    "torch.library",
    "torch.utils.benchmark",
]
_OURS = ("tutor.core.", "tutor.worker.")
_MISSING = object()


class _Kept(NamedTuple):
    """A name and what it was bound to; `_MISSING`: it may not become something callable."""

    owner: str
    namespace: Any
    name: str
    value: Any
    code: types.CodeType | None = None
    defaults: Any = None

    @property
    def same(self) -> bool:
        """True when the name is still bound to it, code included."""
        space = vars(self.namespace) if isinstance(self.namespace, type) else self.namespace
        value = space.get(self.name, _MISSING)
        if self.value is _MISSING:
            return not callable(value)
        if value is not self.value:
            return False
        return self.code is None or (value.__code__ is self.code and value.__defaults__ is self.defaults)


class Snapshot:
    """Identities of the functions, classes and modules that judge, and of their code.

    Where the probe is loaded it compares: without touching what it looks at, and so without copying its pages.
    """

    def __init__(self, extra: tuple[types.ModuleType, ...] = (), base: Snapshot | None = None) -> None:
        """`base`: an earlier snapshot of this process, from before it forked, that this one adds `extra` to."""
        self._kept: list[_Kept] = [] if base is None else base._kept
        if base is None:
            self._keep_judges()
        self._added: list[_Kept] = []
        for module in extra:
            self._keep_namespace(self._added, module.__name__, vars(module), deep=True)
        self._fast: list[tuple[Any, list[_Kept]]] = [] if base is None else base._fast
        bindings = getattr(library.loaded(), "Bindings", None)
        if bindings and not self._fast:
            self._fast = [(bindings(_rows(self._kept)), self._kept)]
        if bindings and self._added:
            self._fast = [*self._fast, (bindings(_rows(self._added)), self._added)]

    def _keep_judges(self) -> None:
        names = [*JUDGES, *(name for name in sys.modules if name.startswith(_OURS))]
        modules = {name: sys.modules[name] for name in names if name in sys.modules}
        builtin_names = vars(sys.modules["builtins"]).keys()
        for name, module in modules.items():
            self._kept.append(_Kept("sys.modules", sys.modules, name, module))
            namespace = vars(module)
            self._keep_namespace(self._kept, name, namespace, deep=not name.startswith(("torch", "numpy", "builtins")))
            # Planted in a judging module's globals, a builtin's name shadows it (`_pytest.runner.len = ...`).
            self._kept += [_Kept(name, namespace, one, _MISSING) for one in builtin_names - namespace.keys()]

    def _keep_namespace(self, kept: list[_Kept], owner: str, namespace: Any, *, deep: bool) -> None:
        for name, value in list(namespace.items()):
            if not callable(value) and not isinstance(value, types.ModuleType):
                continue
            if owner == "torch" and not isinstance(value, types.BuiltinFunctionType):
                continue  # torch replaces some of its Python names itself, when opcheck first imports the compiler
            kept.append(_bound(owner, namespace, name, value))
            if deep and isinstance(value, type) and getattr(value, "__module__", None) == owner:
                for attribute, member in list(vars(value).items()):
                    if isinstance(member, types.FunctionType | property | classmethod | staticmethod):
                        kept.append(_bound(f"{owner}.{name}", value, attribute, member))

    def replaced(self) -> list[str]:
        """Qualified names of all that is not what it was, sorted; empty when nothing was touched."""
        if self._fast:
            changed = [kept[index] for bindings, kept in self._fast for index in bindings.changed()]
        else:
            changed = [kept for kept in (*self._kept, *self._added) if not kept.same]
        return sorted({f"{kept.owner}.{kept.name}" for kept in changed})


def _bound(owner: str, namespace: Any, name: str, value: Any) -> _Kept:
    if isinstance(value, types.FunctionType):
        return _Kept(owner, namespace, name, value, value.__code__, value.__defaults__)
    return _Kept(owner, namespace, name, value)


def _rows(kept: list[_Kept]) -> list[tuple[Any, ...]]:
    return [row[1:3] if row.value is _MISSING else row[1:4] for row in kept]


_base: list[Snapshot] = []


def take_base() -> None:
    """Take the snapshot that all later ones of this process and its forks start from."""
    _base[:] = [Snapshot()]


def take(extra: tuple[types.ModuleType, ...]) -> Snapshot:
    """A snapshot that covers the modules of a check or a benchmark too."""
    return Snapshot(extra, _base[0] if _base else None)
