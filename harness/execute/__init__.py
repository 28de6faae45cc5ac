"""Runs what is missing: one stage's work, a cell's life, and the two executors."""
