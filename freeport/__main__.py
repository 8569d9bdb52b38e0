"""`python -m freeport`."""

import sys
from collections.abc import Callable, Sequence

from freeport.errors import StartupError
from freeport.interpreter import libraries_missing, require_python


def main() -> int:
    # Before anything that an older Python, or one without the libraries, could not even import.
    try:
        require_python()
        run = _command_line()
    except StartupError as error:
        sys.stderr.write(f"{error.what}\n  why: {error.why}\n  fix: {error.fix}\n")
        return 1
    return run(sys.argv[1:])


def _command_line() -> "Callable[[Sequence[str]], int]":
    try:
        from freeport.cli import run
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] in ("freeport", "services", "shared"):
            raise
        raise libraries_missing(missing) from missing
    return run


if __name__ == "__main__":
    sys.exit(main())
