"""Record the lives of orders as this version leads them: `python -m scripts.sagas 0.1.0`.

What is recorded is never written again: a later version must bring it to the same end. The version in the making takes in the
lives that have come since.
"""

import json
import re
import sys

from scripts.golden import in_the_making
from tests.contracts.sagas import FOLDER, lives, record


def main() -> None:
    """One file a life."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.sagas VERSION")
    folder = FOLDER / sys.argv[1]
    if folder.exists() and sys.argv[1] != in_the_making():
        sys.exit(f"{folder.name} is recorded already: what was released does not change")
    folder.mkdir(parents=True, exist_ok=True)
    for name, (order, topics) in lives().items():
        path = folder / f"{re.sub('[^a-z0-9]+', '-', name.lower())}.json"
        if not path.exists():
            path.write_text(json.dumps(record(order, topics), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
