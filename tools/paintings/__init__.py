"""Paintings of our own in a dozen manners, drawn by code from the first to the last pixel.

Each module draws one or a few; `python -m tools.paintings` renders them all. Seeded: the same pictures every time.
"""
