"""Clients of the outside world: the carrier, and orders for names and addresses."""
