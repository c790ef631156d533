"""Training: the loop, its state, what it tells."""
