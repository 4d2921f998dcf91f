"""Doubles."""


def twice(x):
    # @gap
    return 2 * x
    #| return x
    # @end
