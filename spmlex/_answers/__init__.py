"""What an estimate says of F, of units and of other data."""
