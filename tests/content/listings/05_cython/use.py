import numpy as np
import totals

values = np.arange(5.0)
assert totals.total(values) == totals.total_typed(values) == 10
assert totals.empty(3).shape == (3,)
counts = np.zeros((3, 4), dtype=np.int_)
chosen = np.random.default_rng().integers(0, 4, 1001, dtype=np.int32)
totals.count(chosen, counts)
assert counts[0].tolist() == np.bincount(chosen, minlength=4).tolist()
del shown[:]
# @listing 5
assert shown[0][0] == shown[0][1]
assert shown[-2] is True
assert str(shown[-1]) == "ndarray is not C-contiguous"
