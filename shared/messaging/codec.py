"""Events as Kafka records: CloudEvents 1.0 in binary mode, JSON data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from shared.contracts.registry import EVENTS, Event
from shared.effects import Moment
from shared.messaging.message import Message

__all__ = ["Envelope", "Malformed", "decode_data", "encode_data", "headers_of", "message_of", "open_envelope"]

_SEQUENCE_LIMIT = 2**63
_REQUIRED = ("ce_id", "ce_type", "ce_sequence", "ce_time")


class Malformed(ValueError):
    """A record that is no event of ours: it lacks an attribute, or its data does not fit its contract."""


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
    except ValueError as error:
        raise Malformed(f"{event_type} does not fit its contract: {error}") from error


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
    topic: str, key: bytes | None, payload: bytes | None, headers: Iterable[tuple[str, bytes]]
) -> Envelope:
    """A Kafka record's envelope. Raises Malformed when an attribute is missing."""
    attributes = {name: _text(value) for name, value in headers}
    name = _text(key or b"")
    missing = [attribute for attribute in _REQUIRED if not attributes.get(attribute)]
    if missing or not name or payload is None:
        raise Malformed(f"not an event: lacks {', '.join(missing) or ('its key' if not name else 'its data')}")
    sequence = attributes["ce_sequence"]
    if not sequence.isascii() or not sequence.isdigit() or not 0 < int(sequence) < _SEQUENCE_LIMIT:
        raise Malformed(f"ce_sequence is not a positive number: {sequence!r}")
    return Envelope(topic, name, int(sequence), attributes, _text(payload).encode())


def message_of(envelope: Envelope, decided_at: datetime) -> Message:
    """The message inside the envelope. Raises Malformed when its data does not fit its contract."""
    attributes = envelope.attributes
    try:
        occurred_at = datetime.fromisoformat(attributes["ce_time"])
    except ValueError as error:
        raise Malformed(f"ce_time is no RFC 3339 instant: {attributes['ce_time']!r}") from error
    if occurred_at.tzinfo is None:
        raise Malformed(f"ce_time has no zone: {attributes['ce_time']!r}")
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
        body=decode_data(attributes["ce_type"], envelope.payload),
        moment=moment,
        type=attributes["ce_type"],
        topic=envelope.topic,
        key=envelope.key,
        sequence=envelope.sequence,
        causation_id=attributes.get("ce_causationid", ""),
        payload=envelope.payload,
    )


def _text(raw: bytes) -> str:
    # What is no UTF-8, or holds a NUL, cannot be stored as text. Escaped it can be, and then fails as JSON, with its reason.
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
