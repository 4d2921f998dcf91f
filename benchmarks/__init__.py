"""Side-by-side measurements: ratios from one run, never a test."""
