"""From a data set as it was published to one row an image."""
