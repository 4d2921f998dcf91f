"""Nothing that learner code does to the machinery of its check makes the check pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from worker_harness import Outcome

from tutor.core import protocol
from tutor.core.verdict import Outcome as Verdict

TRICKS = {
    "sys.exit": "sys.exit(0)",
    "os._exit": "os._exit(0)",
    "kill": "import signal; os.kill(os.getpid(), signal.SIGKILL)",
    "closerange": "os.closerange(3, 1 << 17)",
    "closerange low": "os.closerange(0, 300)",
    "stdout re-pointed": "os.dup2(os.open('/dev/null', os.O_WRONLY), 1)",
    "fork and leave": "os.fork() and os._exit(0)",
    "fork and both go on": "os.fork()",
    "pytest.skip": "import pytest; pytest.skip('done')",
    "pytest.xfail": "import pytest; pytest.xfail('done')",
    "pytest.exit": "import pytest; pytest.exit('done', 0)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "runner": "import _pytest.runner as r; r.runtestprotocol = lambda *a, **k: []",
    "code of the runner": "import _pytest.runner as r; "
    "r.check_interactive_exception.__code__ = (lambda call, report: False).__code__",
    "hook caller": "import pluggy._callers as c; c._multicall = lambda *a: None",
    "numpy.testing": "import numpy.testing as t; t.assert_allclose = lambda *a, **k: None",
    "numpy.testing code": "import numpy.testing as t; t.assert_allclose.__code__ = (lambda *a, **k: None).__code__",
    "time": "import time; time.perf_counter_ns = lambda: 0",
    "builtins": "import builtins; builtins.AssertionError = RuntimeError",
    "shadowed builtin": "import _pytest.runner as r; r.len = lambda x: 0",
    "sys.modules": "import types; sys.modules['numpy.testing'] = types.ModuleType('numpy.testing')",
    "our own judge": "import tutor.worker.outcome as o; o.judge = lambda *a: None",
    "the check's globals": "sys._getframe(1).f_globals['same'] = lambda a, b: True",
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS.keys())
@pytest.mark.parametrize("where", ["run", "run_probed"])
def test_trick_never_passes(request: pytest.FixtureRequest, tmp_path: Path, where: str, trick: str) -> None:
    run: Callable[..., Outcome] = request.getfixturevalue(where)
    source = tmp_path / "mine.py"
    source.write_text(f"import os, sys\n\ndef f(x):\n    {trick}\n    return x\n")
    artifact = protocol.Artifact("python", "mine", sys_path=(str(tmp_path),), sources={"mine.py": str(source)})
    seen = run("def same(a, b):\n    return a == b\n\ndef test_it(built):\n    assert same(built.f(1), 1)\n", artifact)
    assert seen.only.outcome is Verdict.FAIL
    assert seen.done.outcome == "failed"
    assert seen.only.findings[0].code in ("forbidden", "crash")


@pytest.mark.parametrize("where", ["run", "run_probed"])
def test_honest_twin_passes(request: pytest.FixtureRequest, tmp_path: Path, where: str) -> None:
    run: Callable[..., Outcome] = request.getfixturevalue(where)
    source = tmp_path / "mine.py"
    source.write_text("import os, sys\n\ndef f(x):\n    print('hello')\n    return x\n")
    artifact = protocol.Artifact("python", "mine", sys_path=(str(tmp_path),), sources={"mine.py": str(source)})
    seen = run("def test_it(built):\n    assert built.f(1) == 1\n", artifact)
    assert (seen.only.outcome, seen.only.output) == (Verdict.PASS, "hello\n")
