"""Sets from elsewhere: labelled like the data set, measured on, never learned from."""
