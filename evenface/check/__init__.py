"""A look at a folder of photographs before anything is trained: what is wrong, and where."""
