"""What models are made of: links, starting values, dynamic programming."""
