"""Which image is learned from, chosen by, and tested on."""
