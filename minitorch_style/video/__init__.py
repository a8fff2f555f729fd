"""Films: frames in, painted frames out, each begun from the one before. `flow` says what has moved, `film` paints, `frames`
reads and writes files, `folders` numbered pictures.
"""
