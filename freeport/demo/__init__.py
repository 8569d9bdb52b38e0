"""`freeport demo`: the life of an order in scenes, played over the public interfaces, with a verdict."""
