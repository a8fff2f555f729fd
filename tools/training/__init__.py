"""Training of the bundled encoders (PyTorch; the only other place that imports it is tools/convert_torch.py)."""
