"""Benchmark of op-quant-cuda: one kernel against the five of eager PyTorch. Runs on a GPU only."""

from tutor.worker.case import Case


def make(rng):
    import torch

    return (torch.from_numpy(rng.standard_normal((4096, 4096), dtype="float32")).cuda(),)


def eager(weight):
    """Five kernels, each over 64 MB."""
    import torch

    top = weight.abs().amax(dim=1, keepdim=True)
    scale = torch.where(top > 0, top / 127, torch.ones_like(top))
    return torch.round(weight / scale).to(torch.int8), scale[:, 0]


def verify(inputs, got, want):
    import torch

    assert torch.allclose(got[1], want[1], rtol=1e-6, atol=0), "scales differ from eager"
    off = (got[0].int() - want[0].int()).abs()
    assert int(off.max()) <= 1, "values differ from eager by more than the last place"
    assert float((off > 0).float().mean()) < 1e-3, "more values than ties differ from eager"


CASES = {
    "projection-4096x4096": Case(
        make=make, learner=lambda built, weight: built.quantize_rows(weight), baseline=eager, verify=verify
    )
}
