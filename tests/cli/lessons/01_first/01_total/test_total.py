from ctypes import c_double, c_size_t

import pytest


def total(built, values):
    built.total.restype = c_double
    built.total.argtypes = (c_double * len(values), c_size_t)
    return built.total((c_double * len(values))(*values), len(values))


@pytest.mark.finds("wrong-result", at="total(const double")
def test_numbers_are_added(built):
    got = total(built, [1.0, 2.0, 4.5])
    assert got == 7.5, f"total of [1, 2, 4.5]: got {got}, want 7.5"


def test_nothing_adds_up_to_zero(built):
    assert total(built, []) == 0.0
