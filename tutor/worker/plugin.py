"""The pytest plugin: fixtures and markers for lesson checks. Does nothing in a session that does not ask for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tutor.core.protocol import Artifact
from tutor.worker.context import CheckContext, context_of

if TYPE_CHECKING:
    import numpy as np

    from tutor.worker.fixtures.annotation import Annotation
    from tutor.worker.fixtures.faults import Faults
    from tutor.worker.fixtures.gil import Gil
    from tutor.worker.fixtures.gpu import Gpu
    from tutor.worker.fixtures.guard import Guard
    from tutor.worker.fixtures.memory import Memory
    from tutor.worker.fixtures.operator import Operator
    from tutor.worker.fixtures.references import References
    from tutor.worker.fixtures.variants import Variants


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "finds(code, at=''): the finding that a failing assert in this check stands for")
    config.addinivalue_line("markers", "gpu: runs on a CUDA device")


def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Before a lesson's checks are imported: its property tests share one built module between their examples."""
    if (module_path.parent / "exercise.toml").exists():
        from hypothesis import HealthCheck, settings

        settings.register_profile("mltutor", suppress_health_check=[HealthCheck.function_scoped_fixture])
        settings.load_profile("mltutor")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a lesson's GPU check where there is no device; other projects may mean something else by `gpu`."""
    if item.get_closest_marker("gpu") and (item.path.parent / "exercise.toml").exists():
        problem = gpu_problem()
        if problem:
            pytest.skip(problem)


def gpu_problem() -> str:
    """Why no CUDA device can be used here; empty when one can."""
    if not os.path.exists("/dev/nvidiactl"):
        return "no NVIDIA GPU on this machine"
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    return "" if torch.cuda.is_available() else "torch can't use the GPU of this machine"


def _context(request: pytest.FixtureRequest) -> CheckContext:
    return context_of(request.config, request.path.parent)


@pytest.fixture
def artifact(request: pytest.FixtureRequest) -> Artifact:
    """What the build made: path, sources, extra files."""
    return _context(request).artifact


@pytest.fixture
def built(request: pytest.FixtureRequest) -> Any:
    """The loaded extension module, ctypes.CDLL, torch.ops namespace or Python module."""
    from tutor.worker.loading import load

    __tracebackhide__ = True
    context = _context(request)
    if context.loaded is None:
        context.say("loading")
        context.loaded = load(context.artifact)
        context.say("loaded")
    return context.loaded


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A numpy Generator with a fresh seed each run; the seed is shown when the check fails."""
    import numpy as np

    context = _context(request)
    context.seeded = True
    return np.random.default_rng(context.seed)


@pytest.fixture
def refs(request: pytest.FixtureRequest) -> References:
    """`refs(call, *args, calls=6)`: references that each call gains or loses. Raises Defects."""
    from tutor.worker.fixtures.references import References

    return References(_context(request))


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> Memory:
    """`memory.leak(call, *args)` and `memory.peak(call, *args)`."""
    from tutor.worker.fixtures.memory import Memory

    return Memory(_context(request))


@pytest.fixture
def gil(request: pytest.FixtureRequest) -> Gil:
    """`gil.released(call, *args)` and `gil.check(call, *args, at_least=0.5)`."""
    from tutor.worker.fixtures.gil import Gil

    return Gil(_context(request))


@pytest.fixture
def guard() -> Guard:
    """`guard.array(a, side="after")`: a copy that ends at a page which may not be touched."""
    from tutor.worker.fixtures.guard import Guard

    return Guard()


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Faults:
    """`faults(call, *args)`: each call of the Python API fails once. Raises Defects (`error-path`)."""
    from tutor.worker.fixtures.faults import Faults

    return Faults(_context(request).artifact)


@pytest.fixture
def variants() -> Variants:
    """`variants(a, kinds=...)`: the same values in other layouts."""
    from tutor.worker.fixtures.variants import Variants

    return Variants()


@pytest.fixture
def annotation(request: pytest.FixtureRequest) -> Annotation:
    """Cython: `annotation.check(depth=1)` finds the lines inside loops that work on Python objects."""
    from tutor.worker.fixtures.annotation import Annotation

    return Annotation(_context(request).artifact)


@pytest.fixture
def operator(request: pytest.FixtureRequest) -> Operator:
    """torch: `operator.contract(op, *args)`, `.gradients(call, *inputs)`, `.layouts(...)` and `.extra(...)`."""
    from tutor.worker.fixtures.operator import Operator

    return Operator(_context(request))


@pytest.fixture
def gpu() -> Gpu:
    """CUDA: `gpu.stream(call, *inputs)`, `.graph(...)`, `.extra(...)`, `.leak(...)`. Needs the marker of its name."""
    from tutor.worker.fixtures.gpu import Gpu

    return Gpu()
