"""Pictures: files to pixels and back, resizing, colors. Pixels are (H, W, 3) RGB float32 in [0, 1].

The only room that knows Pillow. Sizes are (height, width).
"""
