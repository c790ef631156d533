"""The parts that images are dealt to."""

SPLITS = ("train", "val", "test")
