import gc

import arrays
import counter
import demo
import numpy as np

assert demo.scale(3) == demo.scale(x=2, factor=3) == 6
one = counter.Counter(2)
one.add(3)
assert one.value == len(one) == 5
assert arrays.first_column(np.arange(6.0).reshape(3, 2)).tolist() == [6]
assert arrays.roots([4, 9]) == 5
kept = arrays.Samples().values()
gc.collect()
assert kept.tolist() == arrays.handed_over([1, 2, 3]).tolist() == [1, 2, 3]

import tensors
import torch

x = torch.ones(3, requires_grad=True)
tensors.halve(x).sum().backward()
assert torch.equal(x.grad, torch.full((3,), 0.5))
assert tensors.address(x) == x.data_ptr()
