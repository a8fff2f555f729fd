"""Networks as graphs: layers with torch.nn's names, the architectures made of them, and their registry.

Geometry only: no numbers, no kernels.
"""
