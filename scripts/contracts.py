"""Write the JSON Schema of every event to shared/contracts/schemas/. Refuses a change that would break somebody."""

import sys

from shared.contract_schemas import breaking_changes, committed, schemas, write


def main() -> None:
    """`python -m scripts.contracts`."""
    before, after = committed(), schemas()
    if broken := breaking_changes(before, after):
        sys.exit("contracts change by addition only; give the changed event a new version:\n  " + "\n  ".join(broken))
    write(after)
    added = sorted(after.keys() - before.keys())
    print(f"{len(after)} schemas" + (f", new: {', '.join(added)}" if before and added else ""))


if __name__ == "__main__":
    main()
