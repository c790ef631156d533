"""Data: from a published layout to splits and packed images."""
