"""What logistics does: one verb a file."""
