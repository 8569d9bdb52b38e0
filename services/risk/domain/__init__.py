"""Pure: rules, velocity windows, order files and reviews."""
