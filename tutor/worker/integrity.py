"""Proof that what judges the learner's code is unchanged: taken before it loads, compared after it ran."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, slots=True)
class _Kept:
    owner: str
    namespace: Any
    name: str
    value: Any
    code: types.CodeType | None
    defaults: Any


class Snapshot:
    """Identities of the functions, classes and modules that judge, and of their code."""

    def __init__(self, extra: tuple[types.ModuleType, ...] = (), base: Snapshot | None = None) -> None:
        """`base`: an earlier snapshot of this process, from before it forked, that this one adds `extra` to."""
        self._modules: dict[str, types.ModuleType] = {}
        self._kept: list[_Kept] = []
        if base is not None:
            self._modules.update(base._modules)
            self._kept += base._kept
        else:
            names = [*JUDGES, *(name for name in sys.modules if name.startswith(_OURS))]
            self._modules.update({name: sys.modules[name] for name in names if name in sys.modules})
            for name, module in self._modules.items():
                self._keep_namespace(name, vars(module), deep=not name.startswith(("torch", "numpy", "builtins")))
        for module in extra:
            self._keep_namespace(module.__name__, vars(module), deep=True)
        self._builtin_names = frozenset(vars(sys.modules["builtins"]))
        # `torch.compile`, `numpy.abs`: names of builtins that a module has of its own.
        self._own = {
            (owner, name)
            for owner, module in self._modules.items()
            for name in self._builtin_names & vars(module).keys()
        }

    def _keep_namespace(self, owner: str, namespace: Any, *, deep: bool) -> None:
        for name, value in list(namespace.items()):
            if not callable(value) and not isinstance(value, types.ModuleType):
                continue
            if owner == "torch" and not isinstance(value, types.BuiltinFunctionType):
                continue  # torch replaces some of its Python names itself, when opcheck first imports the compiler
            self._keep(owner, namespace, name, value)
            if deep and isinstance(value, type) and getattr(value, "__module__", None) == owner:
                for attribute, member in list(vars(value).items()):
                    if isinstance(member, types.FunctionType | property | classmethod | staticmethod):
                        self._keep(f"{owner}.{name}", vars(value), attribute, member)

    def _keep(self, owner: str, namespace: Any, name: str, value: Any) -> None:
        is_function = isinstance(value, types.FunctionType)
        code = value.__code__ if is_function else None
        self._kept.append(_Kept(owner, namespace, name, value, code, value.__defaults__ if is_function else None))

    def replaced(self) -> list[str]:
        """Qualified names of all that is not what it was, sorted; empty when nothing was touched."""
        found = {name for name, module in self._modules.items() if sys.modules.get(name) is not module}
        for kept in self._kept:
            value = kept.namespace.get(kept.name, _MISSING)
            same = value is kept.value
            if same and kept.code is not None:
                same = value.__code__ is kept.code and value.__defaults__ is kept.defaults
            if not same:
                found.add(f"{kept.owner}.{kept.name}")
        return sorted(found | self._shadowed())

    def _shadowed(self) -> set[str]:
        """Names of builtins that were planted in a judging module's globals (`_pytest.runner.len = ...`)."""
        return {
            f"{owner}.{name}"
            for owner, module in self._modules.items()
            if owner != "builtins"
            for name in self._builtin_names & vars(module).keys()
            if (owner, name) not in self._own and callable(vars(module)[name])
        }


_base: list[Snapshot] = []


def take_base() -> None:
    """Take the snapshot that all later ones of this process and its forks start from."""
    _base[:] = [Snapshot()]


def take(extra: tuple[types.ModuleType, ...]) -> Snapshot:
    """A snapshot that covers the modules of a check or a benchmark too."""
    return Snapshot(extra, _base[0] if _base else None)
