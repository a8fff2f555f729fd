"""LLVM IR that the compiled kernels are made of, shared by Numba's and the ahead-of-time library.

Text in, text out: nothing here is run.
"""
