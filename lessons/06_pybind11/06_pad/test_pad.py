"""Checks of pb-tensor: loops and nonzero are the oracles; strides, lazy bits, devices, autograd and ownership."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# what a wrong implementation raises instead
OTHERS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


def normal(rng, *shape, dtype="float32"):
    import torch

    return torch.from_numpy(rng.standard_normal(shape).astype(dtype))


def ragged(rng, lengths, *rest, dtype="float32"):
    return [normal(rng, n, *rest, dtype=dtype) for n in lengths]


def padded_by_hand(sequences, value=0):
    """What collate must give, made with a loop of assignments."""
    import torch

    longest = max(len(one) for one in sequences)
    want = torch.full((len(sequences), longest, *sequences[0].shape[1:]), value, dtype=sequences[0].dtype)
    mask = torch.zeros(len(sequences), longest, dtype=torch.bool)
    for row, one in enumerate(sequences):
        want[row, : len(one)] = one.detach().resolve_conj().resolve_neg()
        mask[row, : len(one)] = True
    return want, mask


def same(got, want, what):
    """Equal in shape, dtype and every value; the first place that is not."""
    import torch

    assert isinstance(got, torch.Tensor), f"{what}: a tensor is asked for, not {type(got).__name__}"
    assert (got.shape, got.dtype) == (want.shape, want.dtype), (
        f"{what}: got {got.dtype} of shape {tuple(got.shape)}, want {want.dtype} of shape {tuple(want.shape)}"
    )
    if not torch.equal(got, want):
        place = tuple((got != want).nonzero()[0].tolist())
        raise AssertionError(f"{what}: at {list(place)} got {got[place].item()}, want {want[place].item()}")


def collates(built, sequences, what, value=0):
    want, mask = padded_by_hand(sequences, value)
    got = built.collate(sequences, value)
    assert isinstance(got, tuple), f"collate returns a tuple (padded, mask), not {type(got).__name__}"
    same(got[0], want, f"padded, {what}")
    same(got[1], mask, f"mask, {what}")


def refuses(errors, call, what):
    try:
        got = call()
    except errors:
        return
    except OTHERS as other:
        names = " or ".join(one.__name__ for one in errors)
        raise AssertionError(f"{what}: want {names}, got {type(other).__name__}: {other}") from None
    raise AssertionError(f"{what}: was taken, and gave {str(got)[:80]}")


@pytest.mark.finds("wrong-result", at="at::Tensor> collate(")
def test_batch_matches_a_loop_of_assignments(built, rng):
    for lengths in ([3], [1, 4, 2], [5, 5], [7, 1, 1, 9, 3]):
        for rest in ((), (4,), (2, 3)):
            collates(built, ragged(rng, lengths, *rest), f"lengths {lengths}, shape of an item {rest}", 7)


@pytest.mark.finds("wrong-result", at="at::Tensor> collate(")
@settings(max_examples=40, deadline=None, database=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=9),
    rest=st.lists(st.integers(0, 4), max_size=2),
    value=st.integers(-(2**62), 2**62),
)
def test_any_lengths_and_shapes(built, lengths, rest, value):
    import torch

    sequences = [torch.arange(n * 3, n * 3 + torch.Size(rest).numel() * n).reshape(n, *rest) for n in lengths]
    collates(built, sequences, f"lengths {lengths}, shape of an item {rest}, value {value}", value)


@pytest.mark.finds("wrong-result", at="at::Tensor> collate(")
def test_padding_is_the_value_everywhere(built, rng):
    import torch

    for value in (0.0, -1.5, float("inf"), -100):
        sequences = ragged(rng, [50, *rng.integers(1, 50, 63).tolist()])
        for _ in range(4):
            torch.full((64, 50), 3.25)  # memory that is used again holds something else than zeros
            collates(built, sequences, f"value {value}", value)
    same(built.collate([torch.ones(1), torch.ones(3)])[0][0], torch.tensor([1.0, 0, 0]), "the value is 0 if not said:")


@pytest.mark.finds("dtype", at="at::Tensor> collate(")
def test_every_dtype_comes_through(built, rng):
    import torch

    names = "uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 bool complex64 complex128"
    for name in names.split():
        dtype = getattr(torch, name)
        sequences = [torch.from_numpy(rng.integers(0, 2, (n, 3))).to(dtype) for n in (4, 1, 6)]
        collates(built, sequences, name, 1)
    big = [torch.tensor([2**60 + 1, 5]), torch.tensor([7])]
    collates(built, big, "int64 that no double holds", 2**60 + 3)


@pytest.mark.finds("layout", at="static bool plain(")
@pytest.mark.parametrize("kind", ["transposed", "every second", "expanded", "slice of columns", "time last"])
def test_views_match_their_copies(built, rng, kind):
    def view(n):
        return {
            "transposed": lambda: normal(rng, 4, n).t(),
            "every second": lambda: normal(rng, 2 * n, 4)[::2],
            "expanded": lambda: normal(rng, 1, 4).expand(n, 4),
            "slice of columns": lambda: normal(rng, n, 9)[:, 2:6],
            "time last": lambda: normal(rng, 2, 4, n).permute(2, 0, 1)[:, 1],
        }[kind]()

    sequences = [view(n) for n in (5, 2, 3)]
    collates(built, sequences, f"{kind}, strides {[one.stride() for one in sequences]}")


@pytest.mark.finds("layout", at="static bool plain(")
def test_lazy_values_are_computed(built, rng):
    import torch

    z = torch.complex(normal(rng, 5, 2), normal(rng, 5, 2))
    collates(built, [z.conj(), z[:2]], "conj(), which only sets a bit until somebody reads")
    negated = torch._neg_view(normal(rng, 4))
    collates(built, [negated, normal(rng, 2)], "a view with the negative bit (imag of a conj() has it)")


@pytest.mark.finds("layout", at="at::Tensor> collate(")
def test_empty_sequences_are_fine(built, rng):
    import torch

    for lengths, rest in (([0, 3, 0], (2,)), ([0], ()), ([0, 0], (4,)), ([2, 1], (0,)), ([0], (0, 2))):
        collates(built, ragged(rng, lengths, *rest), f"lengths {lengths}, shape of an item {rest}", 5)
    empty = torch.empty(0, 3)
    same(built.collate([empty])[1], torch.zeros(1, 0, dtype=torch.bool), "mask of one empty sequence")


@pytest.mark.finds("layout", at="static void check(")
def test_what_makes_no_batch_is_refused(built, rng):
    one = normal(rng, 4, 6)
    wrong = {
        "no sequences": [],
        "a tensor without dimensions": [one[0, 0]],
        "a tensor without dimensions, later": [one[0], one[0, 0]],
        "items of other width": [one, normal(rng, 4, 5)],
        "items of other width and as many numbers": [one.reshape(4, 2, 3), one.reshape(4, 3, 2)],
        "another number of dimensions": [one, one[0]],
        "more dimensions, as many numbers": [one, one[:, None]],
    }
    for what, sequences in wrong.items():
        refuses((ValueError,), lambda sequences=sequences: built.collate(sequences), what)


@pytest.mark.finds("dtype", at="static void check(")
def test_one_dtype_and_one_device(built, rng):
    import torch

    one = normal(rng, 8)
    few = one[:2]  # short: whoever copies its bytes unasked stays inside of the batch
    for other in (few.double(), few.int(), few.half(), few.to("meta")):
        what = f"float32 on cpu with {other.dtype} on {other.device}"
        refuses((ValueError,), lambda other=other: built.collate([one, other, one]), what)
        refuses((ValueError,), lambda other=other: built.collate([other, few]), what)
    refuses((TypeError,), lambda: built.collate([one, one.numpy()]), "a NumPy array among the tensors")
    refuses((TypeError,), lambda: built.collate([one, None]), "None among the tensors")
    assert isinstance(built.collate((torch.ones(1), torch.ones(2)))[0], torch.Tensor), "a tuple is as good as a list"


@pytest.mark.finds("wrong-result", at="at::Tensor> collate(")
def test_other_devices_keep_their_tensors(built):
    import torch

    # `meta` stands for any device whose memory is not ours to read: its tensors have no data at all.
    padded, mask = built.collate([torch.ones(3, 2, device="meta"), torch.ones(5, 2, device="meta")])
    for name, got, shape in (("padded", padded, (2, 5, 2)), ("mask", mask, (2, 5))):
        assert str(got.device) == "meta", f"{name} of tensors on `meta` is on `{got.device}`"
        assert tuple(got.shape) == shape, f"{name} on `meta` has shape {tuple(got.shape)}, want {shape}"


@pytest.mark.finds("gradient", at="static bool plain(")
def test_gradients_reach_their_sequences(built, rng):

    sequences = [one.requires_grad_() for one in ragged(rng, [3, 1, 4], 2)]
    padded, mask = built.collate(sequences)
    assert padded.requires_grad, "the sequences require grad, the batch doesn't: its graph is cut"
    assert not mask.requires_grad, "the mask requires grad"
    weight = normal(rng, *padded.shape)
    (padded * weight).sum().backward()
    for row, one in enumerate(sequences):
        assert one.grad is not None, f"sequence {row} got no gradient"
        same(one.grad, weight[row, : len(one)], f"gradient of sequence {row}")


@pytest.mark.finds("gradient", at="static bool plain(")
def test_gradcheck_agrees_when_some_need_it(built, rng):
    import torch

    first, second, third = ragged(rng, [2, 4, 1], 2, dtype="float64")
    first.requires_grad_()
    third.requires_grad_()

    def batch(a, c):
        return (built.collate([a * 1, second, c.exp()], -1.0)[0] ** 2).cumsum(1)

    try:
        torch.autograd.gradcheck(batch, (first, third))
    except RuntimeError as error:
        raise AssertionError(f"gradcheck with gradients for two of three: {str(error).strip()[:250]}") from None


@pytest.mark.finds("gradient", at="static bool plain(")
def test_nothing_is_recorded_without_grad(built, rng):
    import torch

    sequences = [one.requires_grad_() for one in ragged(rng, [3, 5])]
    with torch.no_grad():
        assert not built.collate(sequences)[0].requires_grad, "inside no_grad() the batch requires grad"
    assert not built.collate(ragged(rng, [3, 5]))[0].requires_grad, "no sequence requires grad, the batch does"


@pytest.mark.finds("lifetime", at="at::Tensor> collate(")
def test_batch_shares_no_memory_with_its_sequences(built, rng):
    for lengths in ([4], [4, 4], [1]):
        sequences = ragged(rng, lengths, 3)
        want = padded_by_hand(sequences)[0]
        padded, mask = built.collate(sequences)
        for one in sequences:
            one.zero_()
        same(padded, want, f"lengths {lengths}: the sequences were zeroed after collate, and")
        padded.fill_(9)
        mask.fill_(False)
        assert not sequences[0].any(), f"lengths {lengths}: writing into the batch wrote into its sequence"


@pytest.mark.finds("wrong-result", at="at::Tensor> collate(")
def test_sequences_stay_as_they_are(built, rng):
    sequences = ragged(rng, [3, 5], 2)
    before = [(one.clone(), one._version, one.stride()) for one in sequences]
    built.collate(sequences)
    for row, (one, (copy, version, stride)) in enumerate(zip(sequences, before, strict=True)):
        same(one, copy, f"sequence {row} after collate")
        assert (one._version, one.stride()) == (version, stride), f"sequence {row} was written, or restrided"


@pytest.mark.finds("out-of-bounds", at="at::Tensor> collate(")
@pytest.mark.parametrize("side", ["after", "before"])
def test_reads_stay_inside(built, guard, rng, side):
    import torch

    flat = [torch.from_numpy(guard.array(rng.standard_normal(n), side=side)) for n in (5, 30, 1)]
    collates(built, flat, f"guard page {side}")
    table = torch.from_numpy(guard.array(rng.standard_normal((6, 4)), side=side))
    collates(built, [table.t(), table.t()[:2]], f"transposed, guard page {side}")
    flags = torch.from_numpy(guard.array(rng.random(100) < 0.5, side=side))
    same(built.places(flags), flags.nonzero().flatten(), f"places, guard page {side}")


@pytest.mark.finds("wrong-result", at="at::Tensor places(")
def test_places_are_those_of_nonzero(built, rng):
    import torch

    for shape in ((0,), (1,), (7,), (3, 5), (2, 3, 4), (64, 100)):
        for share in (0.0, 0.5, 1.0):
            mask = torch.from_numpy(rng.random(shape) < share)
            same(built.places(mask), mask.flatten().nonzero().flatten(), f"mask {shape}, {share:.0%} true")


@pytest.mark.finds("layout", at="at::Tensor places(")
def test_places_of_a_view_are_those_of_its_copy(built, rng):
    import torch

    mask = torch.from_numpy(rng.random((6, 8)) < 0.5)
    for name, view in (("transposed", mask.t()), ("every second", mask[:, ::2]), ("expanded", mask[:1].expand(5, 8))):
        same(built.places(view), view.flatten().nonzero().flatten(), f"{name} mask, strides {view.stride()}")


@pytest.mark.finds("dtype", at="at::Tensor places(")
def test_only_bool_masks_are_taken(built):
    import torch

    for dtype in (torch.uint8, torch.float32, torch.int64):
        mask = torch.ones(64, dtype=dtype)
        refuses((TypeError, ValueError), lambda mask=mask: built.places(mask), f"a mask of {dtype}")


@pytest.mark.finds("lifetime", at="at::Tensor places(")
def test_places_own_their_memory(built, rng):
    import torch

    kept = []
    for _ in range(40):
        mask = torch.from_numpy(rng.random(int(rng.integers(1, 3000))) < 0.5)
        kept.append((built.places(mask), mask.nonzero().flatten()))
        torch.full((int(rng.integers(1, 3000)),), -7)  # takes what was freed, if it was
    for got, want in kept:
        same(got, want, "places of an earlier call: its memory was freed, or used again, and")
    part = built.places(torch.ones(500, dtype=torch.bool))[490:]
    for _ in range(20):
        torch.full((500,), -7)
    same(part, torch.arange(490, 500), "a slice of the places, the rest dropped:")


@pytest.mark.finds("memory-leak", at="at::Tensor places(")
def test_memory_is_given_back(built, rng, memory):
    import torch

    memory.leak(built.places, torch.ones(700, dtype=torch.bool))
    memory.leak(built.collate, ragged(rng, [30, 7], 5))
