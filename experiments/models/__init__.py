"""Econometric models, one a file: equinox modules with `lclk` and `simulate`."""
