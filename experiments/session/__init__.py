"""A study that is being run: what is done, the loop over blocks, what it shows."""
