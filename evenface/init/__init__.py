"""From a folder of photographs to a config that runs: what it is, what labels say, what is odd."""
