import torch

# @listing 2
assert torch.equal(shown[1], torch.full((3,), 2.0))
assert set(shown[2].values()) == {"SUCCESS"}
# @listing 3
x = torch.ones(3, requires_grad=True)
torch.ops.demo.twice(x).sum().backward()
assert torch.equal(x.grad, torch.full((3,), 2.0))
