"""What is compiled, kept and interrupted; rows in blocks."""
