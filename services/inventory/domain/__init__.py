"""Stock, reservations and the rules about them: pure."""
