"""Theta with F unrestricted: the score, its root, its test."""
