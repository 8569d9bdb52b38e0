"""How Freeport speaks with the places where a store's goods are sold: configuration, one port, one gateway a kind.

Mechanism, not rule: what a channel may sell is inventory's to decide, what it has sold is orders' (docs/decisions/0060).
"""
