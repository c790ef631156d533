"""What trained classifiers say of images."""
