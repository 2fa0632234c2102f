"""Figures of whole processes, as ratios to a standard-library floor measured in the same run: `python -m tests.bench`."""
