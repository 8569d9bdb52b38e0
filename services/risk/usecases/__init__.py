"""One verb a file: what risk does."""
