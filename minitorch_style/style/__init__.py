"""Losses of features and their gradients (equations 1 to 6 and their kin), which place of a painting is most like which of
a picture, and the objective made of them.

Knows no optimizer and no file.
"""
