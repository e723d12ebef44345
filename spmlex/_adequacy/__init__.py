"""What a grid leaves to be gained, and what data can't tell."""
