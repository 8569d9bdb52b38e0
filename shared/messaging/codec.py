"""Events as Kafka records: CloudEvents 1.0 in binary mode, JSON data."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.contracts.registry import EVENTS, Event
from shared.effects import Moment
from shared.messaging.kafka import MAX_RECORD_BYTES
from shared.messaging.message import Message

__all__ = [
    "SKIPPED",
    "Envelope",
    "Malformed",
    "decode_data",
    "encode_data",
    "headers_of",
    "message_of",
    "open_envelope",
]

SKIPPED = "freeport.stream.skipped.v1"
"""What a publisher sends in place of an event that was given up: its sequence is had, and nothing happens."""

_SEQUENCE_LIMIT = 2**63
_SEQUENCE_DIGITS = 19
_KEY_BYTES = 255  # what fits into the primary keys of positions and parked messages, and is more than any id of ours
_REQUIRED = ("ce_id", "ce_type", "ce_time")


class Malformed(ValueError):
    """A record that is no event of ours: it lacks an attribute, or its data does not fit its contract.

    Its words never quote the data.
    """


@cache
def adapter(kind: type[Event]) -> TypeAdapter[Any]:
    """The compiled codec of one event."""
    return TypeAdapter(kind)


def encode_data(event: Event) -> bytes:
    """The event's JSON."""
    return adapter(type(event)).dump_json(event)


def decode_data(event_type: str, payload: bytes | str) -> Event | None:
    """The event, or None for a type that this version does not know. Unknown fields are ignored. Raises Malformed."""
    kind = EVENTS.get(event_type)
    if kind is None:
        return None
    try:
        return adapter(kind).validate_json(payload)
    except ValidationError as error:
        raise Malformed(f"{event_type} does not fit its contract: {_in_words(error)}") from None


def _in_words(error: ValidationError) -> str:
    # Without the input: this ends up in a log.
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(": ".join((".".join(map(str, each["loc"])) or "data", each["msg"])) for each in found[:5])


def headers_of(
    *,
    event_id: str,
    event_type: str,
    source: str,
    key: str,
    sequence: int,
    time: datetime,
    extensions: Mapping[str, str],
) -> list[tuple[str, bytes]]:
    """The Kafka headers of an event; `extensions` are further CloudEvents attributes such as `store` or `traceparent`."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": f"/services/{source}",
        "ce_type": event_type,
        "ce_subject": key,
        "ce_time": time.isoformat().replace("+00:00", "Z"),
        "ce_dataschema": f"/schemas/{event_type}.json",
        "ce_sequence": str(sequence),
        "content-type": "application/json",
        **{f"ce_{name}": value for name, value in extensions.items() if value},
    }
    return [(name, value.encode()) for name, value in attributes.items()]


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event whose attributes are read and whose data is not yet: enough to place it in its stream."""

    topic: str
    key: str
    sequence: int
    attributes: Mapping[str, str]
    payload: bytes

    @property
    def stream(self) -> tuple[str, str]:
        """The stream it belongs to: (topic, key)."""
        return self.topic, self.key


def open_envelope(
    topic: str, key: bytes | None, payload: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> Envelope:
    """A Kafka record with its place in its stream. Raises Malformed when that cannot be read.

    Whatever else may be wrong with it, `message_of` says when its turn has come: then it is known which key to halt.
    """
    attributes = {name.replace("\0", "\\x00"): _text(value or b"") for name, value in headers}
    sequence = attributes.get("ce_sequence", "")
    if not key or not sequence:
        lacks = [what for what, value in (("its key", key), ("ce_sequence", sequence)) if not value]
        raise Malformed(f"not an event: lacks {' and '.join(lacks)}")
    if not _is_number(sequence):
        raise Malformed(f"not an event: ce_sequence is not a positive number: {sequence[:40]!r}")
    return Envelope(topic, _name(key), int(sequence), attributes, _text(payload or b"").encode())


def _is_number(text: str) -> bool:
    plain = text.isascii() and text.isdigit() and len(text) <= _SEQUENCE_DIGITS
    return plain and 0 < int(text) < _SEQUENCE_LIMIT


def _name(key: bytes) -> str:
    try:
        name = key.decode()
    except UnicodeDecodeError:
        raise Malformed("not an event: its key is not UTF-8") from None
    if len(key) > _KEY_BYTES or "\0" in name:
        raise Malformed(f"not an event: its key has NUL characters or more than {_KEY_BYTES} bytes")
    return name


def message_of(envelope: Envelope, decided_at: datetime) -> Message:
    """The message inside the envelope. Raises Malformed when an attribute or its data does not fit its contract.

    Its body is None for a type that this version does not know: new types may come, and pass without an effect.
    """
    attributes = envelope.attributes
    flaw = _flaw(envelope)
    if flaw:
        raise Malformed(flaw)
    occurred_at = _instant(attributes["ce_time"])
    body = decode_data(attributes["ce_type"], envelope.payload)
    if body is not None and body.key != envelope.key:
        raise Malformed(f"its data is of another key: {type(body).key_field} is not the record's key")
    moment = Moment(
        decided_at=decided_at,
        occurred_at=occurred_at,
        message_id=attributes["ce_id"],
        store_id=attributes.get("ce_store", ""),
        market=attributes.get("ce_market", ""),
        correlation_id=attributes.get("ce_correlationid", ""),
        traceparent=attributes.get("ce_traceparent", ""),
    )
    return Message(
        body=body,
        moment=moment,
        type=attributes["ce_type"],
        topic=envelope.topic,
        key=envelope.key,
        sequence=envelope.sequence,
        causation_id=attributes.get("ce_causationid", ""),
        payload=envelope.payload,
    )


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise Malformed(f"ce_time is no RFC 3339 instant: {text[:40]!r}") from None
    if instant.tzinfo is None:
        raise Malformed(f"ce_time has no zone: {text[:40]!r}")
    return instant


def _flaw(envelope: Envelope) -> str:
    """What is wrong with the envelope, or nothing."""
    attributes = envelope.attributes
    missing = [attribute for attribute in _REQUIRED if not attributes.get(attribute)]
    if missing:
        return f"not an event: lacks {', '.join(missing)}"
    if not envelope.payload:
        return "not an event: it has no data"
    if len(envelope.payload) > MAX_RECORD_BYTES:
        return f"larger than {MAX_RECORD_BYTES} bytes"
    if attributes.get("ce_subject", envelope.key) != envelope.key:
        return "ce_subject is not the record's key"
    if attributes.get("ce_specversion", "1.0") != "1.0":
        return f"of an unknown version of CloudEvents: {attributes['ce_specversion'][:40]!r}"
    return _flaw_of_type(envelope.topic, attributes["ce_type"], attributes.get("ce_dataschema", ""))


@lru_cache(maxsize=1024)  # not without a bound: others write these texts
def _flaw_of_type(topic: str, event_type: str, schema: str) -> str:
    """A breaking change has a topic of its own (`….v2`), so on this one a newer version is a mistake. A new type is none."""
    if event_type == SKIPPED:
        return ""
    version = _version(event_type)
    if version is None:
        return f"not an event type with a version: {event_type[:80]!r}"
    announced = _version(schema.removesuffix(".json")) or version
    if announced > version:
        return f"of an unknown version: {event_type[:80]} with the schema {schema[:120]!r}"
    kind = EVENTS.get(event_type)
    if kind is not None:
        return "" if kind.topic.name == topic else f"{event_type} does not belong to this topic"
    known = _known_versions().get(event_type.rpartition(".")[0])
    if known is not None:
        return f"of an unknown version: {event_type[:80]}; this release reads v{known}"
    if event_type.partition(".")[0] != topic.partition(".")[0]:
        return f"{event_type[:80]} does not belong to this topic"
    return ""


@cache
def _known_versions() -> Mapping[str, int]:
    return {name.rpartition(".")[0]: _version(name) or 0 for name in EVENTS}


def _version(text: str) -> int | None:
    found = _VERSION.search(text)
    return int(found[1]) if found else None


_VERSION = re.compile(r"\.v([1-9][0-9]{0,3})$")


def _text(raw: bytes) -> str:
    # What is no UTF-8, or holds a NUL, cannot be stored as text. Escaped it can be, and then fails by its contract.
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
