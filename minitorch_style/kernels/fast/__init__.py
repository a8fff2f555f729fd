"""The kernels that Numba compiles for this processor.

`compilation` alone imports numba; `backend` is the kernel set.
"""
