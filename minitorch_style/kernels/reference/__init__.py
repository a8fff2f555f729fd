"""Every operation by its definition, in plain NumPy: forward and input gradient next to each other.

Runs anywhere, and says what the fast kernels compute.
"""
