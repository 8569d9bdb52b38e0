"""The money of an order: promised, taken, given back, and booked twice."""
