"""Intervals, tests, refits, the delta method."""
