"""The torch zygote: autograd, opcheck and threads in forked checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from worker_harness import ZygoteClient, outcome

from tutor.core import protocol
from tutor.core.verdict import Outcome as Verdict

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def torch_zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZygoteClient]:
    pytest.importorskip("torch")
    client = ZygoteClient("torch", tmp_path_factory.mktemp("torch") / "errors.txt")
    yield client
    client.close()


def test_torch_works_in_forks(torch_zygote: ZygoteClient, lesson: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "ops.py").write_text(
        "import torch\n"
        "library = torch.library.Library('planted_ops', 'DEF')\n"
        "library.define('twice(Tensor x) -> Tensor')\n"
        "library.impl('twice', lambda x: x * 2, 'CPU')\n"
    )
    folder = lesson(
        """
        import torch

        def test_backward():
            x = torch.ones(3, requires_grad=True)
            (x * x).sum().backward()
            torch.testing.assert_close(x.grad, torch.full((3,), 2.0))

        def test_threads():
            torch.set_num_threads(2)
            a = torch.rand(400, 400)
            torch.testing.assert_close(a @ torch.eye(400), a)

        def test_fake_kernel(built):
            torch.library.opcheck(torch.ops.planted_ops.twice.default, (torch.ones(3),))
        """
    )
    artifact = protocol.Artifact("python", "ops", sys_path=(str(tmp_path),), sources={"ops.py": "ops.py"})
    request = protocol.Check(torch_zygote.run_id(), "t", str(folder), artifact, protocol.Limits(seconds=60))
    seen = outcome(torch_zygote.finish(request, 120))
    assert seen.results["backward"].outcome is Verdict.PASS
    assert seen.results["threads"].outcome is Verdict.PASS
    assert seen.codes("fake kernel") == ["fake-kernel"], seen.results["fake kernel"].message
    assert "has no fake kernel" in seen.results["fake kernel"].message


def test_the_compiler_is_imported_once_before_the_forks(lesson: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    client = ZygoteClient("torch", tmp_path / "errors.txt")
    folder = lesson(
        """
        def test_first():
            assert "torch._dynamo.testing" in sys.modules, "torch.compile(...) would import it here"

        def test_second():
            assert "torch._dynamo.testing" in sys.modules, "opcheck(...) would import it here"
        """
    )
    try:
        request = protocol.Check(client.run_id(), "t", str(folder), protocol.Artifact("python", "nothing"))
        seen = outcome(client.finish(request, 120))
        assert {name: result.outcome for name, result in seen.results.items()} == dict.fromkeys(
            ("first", "second"), Verdict.PASS
        )
    finally:
        client.close()
