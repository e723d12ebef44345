"""Measures, tables, figures and the report of a study, made from its files."""
