# @listing 1
# @listing 2
assert '"dltensor_versioned"' in repr(array.__dlpack__(max_version=(1, 0)))
assert np.shares_memory(array, np.from_dlpack(array))
