"""Measurements: pytest-benchmark suites and comparisons side by side. Times are never asserted."""
