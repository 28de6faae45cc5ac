"""Benchmarks of the harness, each against what a user would run instead: `python -m bench`."""
