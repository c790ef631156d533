"""From a folder of photographs, and what labels them, to what a training reads."""
