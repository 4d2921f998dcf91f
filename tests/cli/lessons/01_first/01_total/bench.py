from ctypes import c_double

from tutor.worker.case import Case


def prepared(built, inputs):
    (values,) = inputs
    built.total.restype = c_double
    return (c_double * len(values))(*values), len(values)


CASES = {
    "thousand": Case(
        make=lambda rng: (rng.integers(0, 9, 1000).astype(float).tolist(),),
        learner=lambda built, values, n: built.total(values, n),
        baseline=lambda values: sum(values),
        prepare=prepared,
    )
}
