"""What is really there, and to whom it is promised."""
