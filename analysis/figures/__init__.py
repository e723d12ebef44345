"""Figures of a study: each selects from the summary and draws, nothing else."""
