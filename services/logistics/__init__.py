"""Whether the papers let an order across the border, and where its parcels are."""
