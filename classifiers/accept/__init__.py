"""Which synthetic images may be learned from: they show their class, and are nobody's copies."""
