"""The child side: zygote, forked checks, limits, the pytest plugin with its fixtures, benchmarks."""
