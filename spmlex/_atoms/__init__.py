"""Theta and support points that move together."""
