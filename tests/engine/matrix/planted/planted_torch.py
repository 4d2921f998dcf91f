"""The operators of libplanted_torch.so as functions, and torch for the tensors that they want."""

from pathlib import Path

import torch

torch.ops.load_library(str(Path(__file__).with_name("libplanted_torch.so")))
memory_leak = torch.ops.planted_torch.memory_leak
clean_memory_leak = torch.ops.planted_torch.clean_memory_leak
out_of_bounds = torch.ops.planted_torch.out_of_bounds
clean_out_of_bounds = torch.ops.planted_torch.clean_out_of_bounds
crash = torch.ops.planted_torch.crash
