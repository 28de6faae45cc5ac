"""What the user declares: suite files, recipes and the grid that they span."""
