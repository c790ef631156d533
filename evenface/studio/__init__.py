"""A page in the browser about one run: draw faces, ask classifiers, watch, review."""
