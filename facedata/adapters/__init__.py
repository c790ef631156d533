"""One adapter a file: a published layout in, an index out."""
