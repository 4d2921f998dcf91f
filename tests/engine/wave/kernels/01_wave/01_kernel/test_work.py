"""Launches the kernel; what it gives says nothing about what it did to memory."""

import ctypes

import pytest


@pytest.mark.gpu
def test_it_runs(artifact):
    import torch

    work = ctypes.CDLL(artifact.path).work
    work.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    x = torch.ones(200, device="cuda")
    assert work(x.data_ptr(), 200, torch.cuda.current_stream().cuda_stream) == 0
    torch.cuda.synchronize()
