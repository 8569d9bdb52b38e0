"""A carrier of its own: labels, a settable clock, tracking by signed webhooks, and a book that shows a label bought twice."""
