"""How weights are trained: the epoch loop, evaluation and checkpoints."""
