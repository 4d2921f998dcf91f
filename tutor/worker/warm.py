"""What each flavour of zygote imports and runs once, so that no check pays for it."""

from __future__ import annotations

import importlib
import inspect
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from tutor.worker.scratch import ZYGOTES

_ALWAYS = [
    "pytest",
    "_pytest.assertion.rewrite",
    "_pytest.python",
    "_pytest.fixtures",
    "_pytest.tmpdir",
    "_pytest.monkeypatch",
    "_pytest.capture",
    "_pytest.skipping",
    "_pytest.recwarn",
    "_pytest.unittest",
    "numpy",
    "numpy.random",
    "numpy.testing",
    "hypothesis",
    "hypothesis.strategies",
    "hypothesis.extra.numpy",
    "psutil",
    "cffi",
    "unittest.mock",
    "tutor.worker.supervisor",
    "tutor.worker.bench",
    "tutor.worker.sides",
    "tutor.worker.cythonize",
    "tutor.worker.cuda",
    "tutor.worker.plugin",
    "tutor.worker.loading",
    "tutor.worker.fixtures.references",
    "tutor.worker.probe.passes",
    "tutor.worker.probe.injection",
    "tutor.worker.probe.kinds",
    "tutor.worker.fixtures.faults",
    "tutor.worker.fixtures.annotation",
    "tutor.worker.fixtures.memory",
    "tutor.worker.fixtures.gil",
    "tutor.worker.fixtures.guard",
    "tutor.worker.fixtures.variants",
]
_TORCH = [
    "torch",
    "torch.testing",
    "torch.library",
    "torch.autograd.gradcheck",
    "torch.utils._pytree",
    "tutor.worker.fixtures.operator",
    "tutor.worker.fixtures.gpu",
]
_COMPILER = re.compile(r"\bopcheck\(|\boperator\.contract\(|\btorch\.compile\(|\btorch\._dynamo\b|\bsymbolic_shapes\b")
# Cython has a process of its own: warm it holds 180 MB, and a fork of it takes 20 ms instead of 3.
_IMPORTS = {
    "plain": _ALWAYS,
    "torch": [*_ALWAYS, *_TORCH],
    "cuda": [*_ALWAYS, *_TORCH],
    "cython": ["tutor.worker.cythonize"],
    # For statements of the user's, who may mean another numpy than ours: nothing but what the diagnosis needs itself.
    "bare": ["tutor.worker.statement.run"],
}


def prepare_environment(flavour: str) -> tempfile.TemporaryDirectory[str]:
    """Variables and folders that keep children quiet: no plugins of others, no files in the lesson folders.

    Only the flavours that may use a GPU see one. The first backward of a process asks the driver how many there are and
    starts a thread for each; a fork of it can use neither CUDA nor autograd.
    """
    scratch = tempfile.TemporaryDirectory(prefix="mltutor-zygote-")
    os.environ[ZYGOTES] = scratch.name
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = os.path.join(scratch.name, "hypothesis")
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    if flavour in ("plain", "torch", "cython"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ["MLTUTOR_BYTECODE"] = os.path.join(scratch.name, "bytecode")
    # Lesson folders and workspaces stay free of __pycache__.
    sys.dont_write_bytecode = True
    return scratch


def warm_flavour(flavour: str) -> str:
    """Import what `flavour` needs; returns the name of a usable GPU, or an empty string."""
    if "__main__" in sys.modules and sys.modules["__main__"].__spec__ is not None:
        # `python -m` runs this package's module as __main__; others that import it must find the same one.
        sys.modules.setdefault(sys.modules["__main__"].__spec__.name, sys.modules["__main__"])
    for name in _IMPORTS[flavour]:
        importlib.import_module(name)
    if "torch" in sys.modules:
        # A zygote that has run OpenMP hangs every child that runs it again.
        sys.modules["torch"].set_num_threads(1)
    return gpu_name() if flavour == "cuda" else ""


def later_steps(flavour: str) -> list[Callable[[], None]]:
    """What else to run once: done between requests, so that the first one need not wait for it."""
    if flavour == "bare":
        return []
    if flavour == "cython":
        return [_warm_cython]
    if flavour == "plain":
        return [_warm_pytest, _warm_inspect]
    if flavour == "cuda":  # no backward: it would start the driver here, and no fork could use it
        return [_warm_pytest, _warm_compiler, _warm_inspect]
    return [_warm_pytest, _warm_autograd, _warm_compiler, _warm_opcheck, _warm_inspect]


def warm_for(files: Iterable[Path]) -> None:
    """What several checks of these files would each import in their own process: once before the forks.

    That is torch's compiler, two seconds. A zygote that has been idle for a while has it already.
    """
    if "torch" in sys.modules and "torch._dynamo.testing" not in sys.modules:
        uses = [use for file in files for use in _COMPILER.findall(file.read_text(encoding="utf-8"))]
        if len(uses) > 1:
            _warm_compiler()


def gpu_name() -> str:
    """The model of the first visible GPU, asked without creating a CUDA context; empty where there is none."""
    if not os.path.exists("/dev/nvidiactl") or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return ""
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return f"NVIDIA GPU ({platform.node()})"


def _warm_inspect() -> None:
    """Explaining a failure asks inspect for a source, which resolves the path of every loaded module: once, here."""
    inspect.getmodule(_warm_inspect.__code__, "nowhere")


def _warm_cython() -> None:
    from tutor.worker.cythonize import compile_quietly

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "warm.pyx")
        source.write_text("def f(double[::1] x):\n    return x[0]\n", encoding="utf-8")
        options = {"shared_utility_qualified_name": "_cyutility", "annotate": True}
        compile_quietly(str(source), str(Path(folder, "warm.c")), **options)


def _warm_pytest() -> None:
    """One collection of one check: it imports what pytest imports late."""
    import pytest

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_warm.py").write_text("def test_it():\n    assert 1 + 1 == 2\n", encoding="utf-8")
        options = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-s", "-c", os.devnull]
        pytest.main([*options, "--import-mode=importlib", f"--rootdir={folder}", folder])


def _warm_autograd() -> None:
    import torch

    x = torch.ones(3, requires_grad=True)
    (x * x).sum().backward()
    torch.testing.assert_close(torch.zeros(2), torch.zeros(2))


def _warm_compiler() -> None:
    """What fake tensors with open sizes and torch.compile import; a step of its own, so that requests wait less."""
    for name in ("torch.fx.experimental.symbolic_shapes", "torch._dynamo.testing"):
        with suppress(ImportError):
            importlib.import_module(name)


def _warm_opcheck() -> None:
    """The first opcheck of a process costs seconds, later ones 0.1 s."""
    import torch

    library = torch.library.Library("mltutor_warm", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: x * 2, "CPU")
    torch.library.register_fake("mltutor_warm::twice", torch.empty_like, lib=library)
    torch.library.register_autograd("mltutor_warm::twice", lambda ctx, g: g * 2, lib=library)
    torch.library.opcheck(torch.ops.mltutor_warm.twice.default, (torch.ones(3, requires_grad=True),))
    torch.autograd.gradcheck(torch.ops.mltutor_warm.twice, (torch.ones(3, dtype=torch.double, requires_grad=True),))
    _keep.append(library)


# A torch.library.Library unregisters its operators when it goes away.
_keep: list[object] = []
