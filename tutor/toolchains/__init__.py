"""One module per toolchain behind one Protocol: what is there, how to build, what its errors mean."""
