"""What inventory does: one verb a file."""
