"""Real data with known answers: a script for each of them."""
