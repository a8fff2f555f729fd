"""Kernels compiled ahead of time for a board, called through ctypes.

`library` makes the object code, `backend` is the kernel set.
"""
