"""What a call takes, refused in words where it can't be used; codes and tables."""
