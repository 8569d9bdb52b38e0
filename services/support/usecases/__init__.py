"""What support does, one verb a file."""
