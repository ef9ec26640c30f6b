"""Measured figures. `python -m benchmarks` runs all, `python -m benchmarks decode store` some."""
