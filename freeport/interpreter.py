"""Is this Python one that Freeport runs on? Imports nothing that an older one could not read."""

import sys

from freeport.errors import StartupError

OLDEST_PYTHON = (3, 11)


def require_python(version: "tuple[int, int]" = (sys.version_info[0], sys.version_info[1])) -> None:
    """Raises `StartupError` for a Python that is too old."""
    if version < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        raise StartupError(
            "Python is too old",
            why=f"Freeport needs Python {wanted} or newer, this is {version[0]}.{version[1]}",
            fix=f"Install Python {wanted} and make the environment with it: rm -rf .venv && make PYTHON=python{wanted} up",
        )


def libraries_missing(missing: ModuleNotFoundError) -> StartupError:
    """For a Python that is not the environment's own."""
    return StartupError(
        "Freeport's libraries are not installed for this Python",
        why=f"{sys.executable} has no module {missing.name}",
        fix="Use the environment's own: `make up`, or `.venv/bin/python -m freeport up` after `make setup`",
    )
