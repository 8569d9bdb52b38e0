"""What catalog does, one verb a file."""
