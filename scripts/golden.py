"""Write the golden payloads of a release: `python -m scripts.golden 0.1.0`. A released version's file is never written again."""

import json
import sys
from pathlib import Path

from shared.messaging.codec import encode_data
from tests.contracts.samples import every_event

FOLDER = Path(__file__).parent.parent / "tests" / "contracts" / "golden"


def main() -> None:
    """One sample of every event as this version writes it."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.golden VERSION")
    path = FOLDER / f"{sys.argv[1]}.json"
    if path.exists():
        sys.exit(f"{path.name} is there already: what was released does not change")
    FOLDER.mkdir(exist_ok=True)
    payloads = {event_type: json.loads(encode_data(event)) for event_type, event in every_event().items()}
    path.write_text(json.dumps(payloads, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
