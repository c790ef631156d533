"""What a command is made of, and a digest of that."""
