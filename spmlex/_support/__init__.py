"""Grids, the continuum, degenerate F."""
