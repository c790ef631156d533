"""Pictures that are there more than once, and labels that contradict each other."""
