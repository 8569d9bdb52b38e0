"""An order's whole life: taken in, paid, confirmed, held with a reason, or ended, by what the other services say of it."""
