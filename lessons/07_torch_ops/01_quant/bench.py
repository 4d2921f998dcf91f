"""Benchmark of op-quant: one pass over each row against the five passes of eager PyTorch."""

from tutor.worker.case import Case


def eager(weight):
    """What a practitioner writes: every line is a pass over memory and a temporary."""
    import torch

    top = weight.abs().amax(dim=1, keepdim=True)
    scale = torch.where(top > 0, top / 127, torch.ones_like(top)).to(torch.float32)
    return torch.round(weight / scale).to(torch.int8), scale[:, 0]


def weights(rows, cols):
    def make(rng):
        import torch

        return (torch.from_numpy(rng.standard_normal((rows, cols), dtype="float32")),)

    return make


def verify(inputs, got, want):
    import torch

    assert torch.allclose(got[1], want[1], rtol=1e-6, atol=0), "scales differ from eager"
    off = (got[0].int() - want[0].int()).abs()
    assert int(off.max()) <= 1, "values differ from eager by more than the last place"
    assert float((off > 0).float().mean()) < 1e-3, "more values than ties differ from eager"


def operator(built, weight):
    return built.quantize_rows(weight)


def case(rows, cols):
    """A row is read once from memory (the second look finds it in the cache), an int8 and a scale are written."""
    return Case(
        make=weights(rows, cols),
        learner=operator,
        baseline=eager,
        verify=verify,
        bytes=rows * cols * (4 + 1) + rows * 4,
        flops=rows * cols * 4,  # absolute value, maximum, division, rounding
    )


CASES = {"projection-1024x4096": case(1024, 4096), "adapter-16x1024": case(16, 1024)}
