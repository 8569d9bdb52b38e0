"""Catalog's rules, pure: products, markets, prices with tax, languages, customs codes."""
