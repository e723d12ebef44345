"""What inference needs of a maximum; covariances, Student's t, limits."""
