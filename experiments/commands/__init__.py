"""The actions of `python -m experiments.run`, a module each."""
