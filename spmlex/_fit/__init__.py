"""The calls that maximise."""
