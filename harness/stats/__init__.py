"""Intervals, paired differences and Pareto fronts."""
