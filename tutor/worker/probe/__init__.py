"""The native probe and what its passes mean: defects of references, memory, buffers and the GIL, with their lines."""
