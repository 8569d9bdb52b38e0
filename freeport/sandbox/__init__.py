"""The outside world for demo and tests: a payment provider and a carrier, each its own process with its own durable book."""
