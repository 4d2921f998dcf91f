"""Checks of operators with one defect each and of right ones, and what must be said of the defects."""

from pathlib import Path

PLANTED = Path(__file__).with_name("planted_operators.py")
CHECKS = """
    import torch

    OPS = torch.ops.planted

    def leaf(shape=(3, 4)):
        return torch.linspace(0.5, 2, 12, dtype=torch.float64).reshape(shape).requires_grad_()

    def contract(operator, op):
        operator.contract(op.default, torch.linspace(0.5, 2, 12).reshape(3, 4))
        operator.contract(op.default, leaf())

    def test_contract_right(built, operator): contract(operator, OPS.right)
    def test_contract_right_in_place(built, operator): operator.contract(OPS.right_.default, torch.ones(3, 4))
    def test_contract_writes(built, operator): contract(operator, OPS.writes)
    def test_contract_shares(built, operator): contract(operator, OPS.shares)
    def test_contract_unknown(built, operator): contract(operator, OPS.unknown)
    def test_contract_another_shape(built, operator): contract(operator, OPS.another_shape)
    def test_contract_another_dtype(built, operator): contract(operator, OPS.another_dtype)
    def test_contract_unregistered(built, operator): contract(operator, OPS.unregistered)
    def test_contract_unseen(built, operator): operator.contract(OPS.unseen_.default, torch.ones(3, 4))

    def test_gradients_right(built, operator): operator.gradients(OPS.right, leaf())
    def test_gradients_of_eager(built, operator):
        operator.gradients(lambda x, y: (x @ y, (x * 2).sum(1)), leaf(), leaf((4, 3)))
    def test_gradients_beside_huge_values(built, operator):
        x = torch.tensor([[1e-3, 0.5], [1.0, 30.0]], dtype=torch.float64).requires_grad_()
        operator.gradients(lambda x: torch.exp(x), x)
    def test_gradients_of_a_view(built, operator): operator.gradients(lambda x: OPS.right(x.t()), leaf())
    def test_gradients_factor_left_out(built, operator): operator.gradients(OPS.factor_left_out, leaf())
    def test_gradients_nothing_back(built, operator): operator.gradients(OPS.nothing_back, leaf())
    def test_gradients_unregistered(built, operator):
        operator.gradients(lambda x: OPS.right(x.detach()), leaf())
    def test_gradients_dense_gradient(built, operator): operator.gradients(OPS.dense_gradient, leaf())
    def test_gradients_writes_gradient(built, operator): operator.gradients(OPS.writes_gradient, leaf())

    def test_layouts_right(built, operator): operator.layouts(OPS.right, torch.randn(3, 4))
    def test_layouts_of_integers(built, operator): operator.layouts(lambda x, y: x + y, torch.ones(3, 4, dtype=int), 2)
    def test_layouts_right_in_place(built, operator):
        operator.layouts(OPS.right_, torch.randn(3, 4), kinds=("transposed", "every second", "slice of a cat"))
    def test_layouts_dense_input(built, operator): operator.layouts(OPS.dense_input, torch.randn(3, 4))
    def test_layouts_refused(built, operator): operator.layouts(lambda x: x.view(-1), torch.randn(3, 4))
    def test_layouts_may_refuse(built, operator):
        operator.layouts(lambda x: x.view(-1), torch.randn(3, 4), may_refuse=True)

    def test_extra_right(built, operator): operator.extra(OPS.right_, torch.ones(2 << 20))
    def test_extra_allowed(built, operator): operator.extra(OPS.right, torch.ones(2 << 20), allowed=8 << 20)
    def test_extra_copies(built, operator): operator.extra(OPS.copies_, torch.ones(2 << 20))
"""
SAID = {
    "contract writes": ("schema", "x is written, and the schema says that it is only read"),
    "contract shares": ("schema", "the result shares memory with x"),
    "contract unknown": ("fake-kernel", "planted::unknown has no fake kernel"),
    "contract another shape": (
        "fake-kernel",
        "promises another Shape than the kernel returns: [4, 3], the kernel's is [3",
    ),
    "contract another dtype": ("fake-kernel", "another Dtype than the kernel returns: torch.float16"),
    "contract unregistered": ("autograd-registration", "no autograd kernel is registered"),
    "contract unseen": ("schema", "planted::unseen_ writes x and its _version stays 0"),
    "gradients factor left out": ("gradient", "float64[3, 4] that requires grad, at [0, 0] is"),
    "gradients nothing back": ("gradient", "gets no gradient, and the result depends on it"),
    "gradients unregistered": ("gradient", "no result requires grad although an input does"),
    "gradients dense gradient": ("gradient", "an incoming gradient float64[3, 4] with strides (1, 3), transposed"),
    "gradients writes gradient": ("gradient", "backward wrote to it"),
    "layouts dense input": (
        "layout",
        "input 0, float32[3, 4] with strides (1, 3), transposed: the result at [0, 1] is",
    ),
    "layouts refused": ("layout", "refused: view size is not compatible"),
    "extra copies": ("hidden-copy", "bytes more while it runs"),
}


def names_of_codes() -> dict[str, list[str]]:
    """Code -> the checks that must report it."""
    found: dict[str, list[str]] = {}
    for name, (code, _) in SAID.items():
        found.setdefault(code, []).append(name)
    return found
