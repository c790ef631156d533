"""What arms are worth beside each other."""
