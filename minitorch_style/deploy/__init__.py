"""The bundle for a board that has neither compiler nor h5py.

Used by `cross-compile` alone.
"""
