"""What is measured: accuracy, costs, environment."""
