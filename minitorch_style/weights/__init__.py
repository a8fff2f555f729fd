"""Numbers for the networks: our weight files, foreign checkpoints and their conversion, and where files lie.

Everything that reads a file somebody else may have made.
"""
