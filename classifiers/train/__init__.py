"""Training of classifiers: the loop, its optimiser, its state."""
