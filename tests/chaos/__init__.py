"""The chaos suite: two replicas of every service, clients that keep a history, faults by a seed, and a judge.

`make chaos SEED=7 MINUTES=6`; how it works and what is in it: `docs/chaos.md`.
"""
