"""Networks, their presets, and their files."""
