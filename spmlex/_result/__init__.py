"""A fit, how it ended, its summary and its file."""
