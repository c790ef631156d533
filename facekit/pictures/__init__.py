"""Pictures: decoded, brought to a size, and put into pages."""
