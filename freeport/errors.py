"""What the command line says when it cannot go on."""


class StartupError(Exception):
    """Something outside Freeport stops it from starting; says what, why and how to fix it."""

    def __init__(self, what: str, *, why: str, fix: str) -> None:
        super().__init__(f"{what}: {why}. {fix}")
        self.what = what
        self.why = why
        self.fix = fix
