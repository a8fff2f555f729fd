"""3×3 convolution by Winograd's F(4×4, 3×3) (Lavin & Gray 2016).

A block of tiles goes through input transform, 36 products, output transform and epilogue while it is in the cache.
"""
