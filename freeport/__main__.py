"""`python -m freeport`."""

import sys

from freeport.errors import StartupError


def main() -> None:
    # Before anything that an older Python could not even parse.
    from freeport.checks import require_python

    try:
        require_python()
    except StartupError as error:
        sys.exit(str(error))
    from freeport.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
