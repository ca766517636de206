"""What is remembered of tokens that are left out."""
