"""The smallest service there can be, to test the kit with: counters that add what they are told."""
