# @listing 1
assert shown == [4]
# @listing 3
assert shown[1] == 7.0
assert str(shown[2]) == "must be real number, not str"
assert str(shown[3]) == "area() takes 2 numbers, got 1"
import released

assert released.total(b"\x01\x02") == 3
