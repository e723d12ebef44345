"""Newton's method over theta, its starts and its verdict."""
