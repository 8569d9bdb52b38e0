"""Events as Kafka records: CloudEvents 1.0 in binary mode, JSON data."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter

import shared.contracts  # registers every event
from shared.contracts.registry import EVENTS, Event
from shared.effects import Moment
from shared.messaging.message import Message

__all__ = ["Malformed", "decode", "decode_data", "encode_data", "headers_of"]

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
    *, event_id: str, event_type: str, source: str, key: str, sequence: int, time: datetime, extensions: Mapping[str, str]
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


def decode(topic: str, key: bytes | None, payload: bytes | None, headers: Iterable[tuple[str, bytes]], decided_at: datetime) -> Message:
    """A Kafka record as a message. Raises Malformed when an attribute is missing or the data does not fit."""
    try:
        attributes = {name: value.decode() for name, value in headers}
        name = (key or b"").decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"a header or the key is not UTF-8: {error}") from error
    missing = [attribute for attribute in _REQUIRED if not attributes.get(attribute)]
    if missing or not name or payload is None:
        raise Malformed(f"not an event: lacks {', '.join(missing) or ('its key' if not name else 'its data')}")
    return message_of(topic, name, payload, attributes, decided_at)


def message_of(topic: str, key: str, payload: bytes, attributes: Mapping[str, str], decided_at: datetime) -> Message:
    """The message of an event whose CloudEvents attributes are at hand. Raises Malformed."""
    try:
        sequence = int(attributes["ce_sequence"])
        occurred_at = datetime.fromisoformat(attributes["ce_time"])
    except ValueError as error:
        raise Malformed(f"ce_sequence or ce_time is malformed: {error}") from error
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
        body=decode_data(attributes["ce_type"], payload),
        moment=moment,
        type=attributes["ce_type"],
        topic=topic,
        key=key,
        sequence=sequence,
        causation_id=attributes.get("ce_causationid", ""),
        payload=payload,
    )
