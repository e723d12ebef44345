"""A study's folder: blocks written whole or not at all, and the merged file."""
