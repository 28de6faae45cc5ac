"""Runs printed rows again and says whether they come out."""
