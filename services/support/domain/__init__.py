"""Support's rules, pure: returns and their money, tickets and their promise."""
