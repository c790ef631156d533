"""The page of results that a person reads."""
