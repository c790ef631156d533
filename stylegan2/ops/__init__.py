"""Primitive operations of the networks."""
