"""The events as JSON Schema, and which changes of a schema would break somebody.

`shared/contracts/schemas/` holds the schema of every event as it was last committed (`make contracts` writes them). Contracts
change by addition only: a field that is gone, has another type or is newly required breaks a consumer or an old event.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import shared.contracts
from shared.contracts.registry import EVENTS
from shared.messaging.codec import adapter

Schema = Mapping[str, Any]

FOLDER = Path(shared.contracts.__file__).parent / "schemas"
_WORDS = frozenset({"title", "description", "default"})


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of every event's data, as it is on the wire, by its CloudEvents type."""
    return {
        event_type: {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"/schemas/{event_type}.json",
            "x-topic": kind.topic.name,
            "x-key": kind.key_field,
            **adapter(kind).json_schema(mode="serialization"),
        }
        for event_type, kind in sorted(EVENTS.items())
    }


def committed(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The schemas as they were last written."""
    return {
        path.name.removesuffix(".json"): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


def write(found: Mapping[str, Schema], folder: Path = FOLDER) -> None:
    """Write the schemas, one file an event."""
    folder.mkdir(exist_ok=True)
    for event_type, schema in found.items():
        text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{event_type}.json").write_text(text, encoding="utf-8")


def breaking_changes(before: Mapping[str, Schema], after: Mapping[str, Schema]) -> list[str]:
    """What of `after` would break a consumer or an event of `before`; an empty list when all was only added to."""
    broken = [f"{event_type} is gone" for event_type in before if event_type not in after]
    for event_type, old in before.items():
        if new := after.get(event_type):
            broken += [f"{event_type}: {name} changed" for name in ("x-topic", "x-key") if old[name] != new[name]]
            broken += _breaks(old, new, old, new, event_type, frozenset())
    return broken


def _breaks(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, at: str, above: frozenset[str]
) -> Iterator[str]:
    """Compare two places of two documents. `above` holds the references on the way here, which may lead back to themselves."""
    reference = old.get("$ref", "")
    if reference in above:
        return
    above |= {reference} - {""}
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    if "anyOf" in old or "anyOf" in new:
        yield from _breaks_choice(old, new, old_root, new_root, at, above)
        return
    if old.get("type") != new.get("type") or old.get("format") != new.get("format"):
        yield f"{at} was {_type(old)} and is {_type(new)}"
        return
    yield from (f"{at} is no more {value!r}" for value in old.get("enum", ()) if value not in new.get("enum", ()))
    if "items" in old and "items" in new:
        yield from _breaks(old["items"], new["items"], old_root, new_root, f"{at}[]", above)
    if isinstance(old.get("additionalProperties"), dict) and isinstance(new.get("additionalProperties"), dict):
        yield from _breaks(
            old["additionalProperties"], new["additionalProperties"], old_root, new_root, f"{at}{{}}", above
        )
    yield from _breaks_members(old, new, old_root, new_root, at, above)


def _breaks_members(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, at: str, above: frozenset[str]
) -> Iterator[str]:
    before: Schema = old.get("properties", {})
    after: Schema = new.get("properties", {})
    for name in before:
        if name not in after:
            yield f"{at}.{name} is gone"
        else:
            yield from _breaks(before[name], after[name], old_root, new_root, f"{at}.{name}", above)
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{at}.{name} is newly required"


def _breaks_choice(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, at: str, above: frozenset[str]
) -> Iterator[str]:
    """Every choice that there was must still be one: what was required may become `null`-able, not the other way."""
    choices = [_resolved(choice, new_root) for choice in new.get("anyOf", [new])]
    for choice in old.get("anyOf", [old]):
        known = _resolved(choice, old_root)
        same = [other for other in choices if other.get("type") == known.get("type")]
        if not same:
            yield f"{at} may no more be {_type(known)}"
        else:
            yield from _breaks(known, same[0], old_root, new_root, at, above)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema behind a reference into the same document, without the words for people."""
    reference = schema.get("$ref")
    found: Schema = root["$defs"][reference.rpartition("/")[2]] if isinstance(reference, str) else schema
    return {name: value for name, value in found.items() if name not in _WORDS}


def _type(schema: Schema) -> str:
    kind = str(schema.get("type", "anything"))
    return f"{kind} ({schema['format']})" if "format" in schema else kind
