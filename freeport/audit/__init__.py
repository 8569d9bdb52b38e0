"""`freeport audit`: is what the seven databases and the outside world's books say about each other true?"""
