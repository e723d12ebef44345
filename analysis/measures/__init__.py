"""What is measured over replications, each number with its Monte Carlo error."""
