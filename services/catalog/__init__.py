"""The catalog: what is sold where, at what price, under which customs code."""
