"""Support: what buyers send back and what they ask."""
