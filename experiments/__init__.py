"""Monte Carlo studies of estimators built on spmlex: `python -m experiments.run`."""
