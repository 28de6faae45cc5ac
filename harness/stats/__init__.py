"""Intervals, paired tests and what they can show, McNemar's test, Pareto fronts, areas and hypervolumes."""
