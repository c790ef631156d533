"""What the pixels of each image say: facts, hashes, faces."""
