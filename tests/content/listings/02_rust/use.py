import arrays
import counter
import listings
import numpy as np

assert listings.moves() == [1, 2, 3]
assert listings.borrows(["a"], "b") == ["a", "b"]
assert sorted(listings.places("b a b")) == [("a", 1), ("b", 0)]
assert listings.rank(1, 2) == 5
assert listings.rank(2, 1) is None
assert counter.Counter([3, 4, 3]).count(3) == 2
assert arrays.total(np.arange(10.0)[::2]) == 20
