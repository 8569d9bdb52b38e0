"""`freeport replay`: a seller's order export goes through the whole platform, and every penny of it is accounted for."""
