"""Write the golden payloads of a version: `python -m scripts.golden 0.1.0`.

What a file holds is never written again. The version in the making takes in the events that have come since.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from shared.messaging.codec import encode_data
from tests.contracts.samples import every_event

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "contracts" / "golden"


def main() -> None:
    """One sample of every event as this version writes it."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.golden VERSION")
    version = sys.argv[1]
    path = FOLDER / f"{version}.json"
    if path.exists() and version != in_the_making():
        sys.exit(f"{path.name} is there already: what was released does not change")
    FOLDER.mkdir(exist_ok=True)
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    payloads = {event_type: json.loads(encode_data(event)) for event_type, event in every_event().items()}
    text = json.dumps(dict(sorted((payloads | kept).items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def in_the_making() -> str:
    """The version that the project file names: the one that is not released yet."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


if __name__ == "__main__":
    main()
