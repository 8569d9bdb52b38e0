"""A seller's tables, in and out, by the platform's public interfaces."""
