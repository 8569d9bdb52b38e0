"""Risk: may an order go on, by rules as data over what was seen of its buyer, card, device and address."""
