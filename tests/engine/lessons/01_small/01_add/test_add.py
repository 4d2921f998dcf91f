import pytest


@pytest.mark.finds("wrong-result", at="static PyObject *total(")
def test_a_list_sums_up(built, rng):
    values = [float(x) for x in rng.random(10)]
    got = built.total(values)
    assert got == sum(values), f"total of ten floats: got {got}, want {sum(values)}"


def test_an_empty_list_is_zero(built):
    assert built.total([]) == 0.0 or built.total([]) > 0.0
