"""An instance of any event, made from its annotations alone, so that no new event can go without a golden payload."""

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from shared.contracts.registry import EVENTS, Event
from shared.money import Money

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
_PLAIN: dict[Any, Any] = {int: 7, bool: True, datetime: NOON, Money: Money(1299, "EUR")}


def a_sample(kind: type[Event]) -> Event:
    """Every field filled, every collection with one element, every option taken."""
    return _of(kind, "")


def every_event() -> dict[str, Event]:
    """A sample of every event, by its CloudEvents type."""
    return {event_type: a_sample(kind) for event_type, kind in sorted(EVENTS.items())}


def _of(annotation: Any, name: str) -> Any:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return _of(next(choice for choice in get_args(annotation) if choice is not NoneType), name)
    if origin is tuple:
        return (_of(get_args(annotation)[0], name),)
    if origin is dict:
        key, value = get_args(annotation)
        return {_of(key, name): _of(value, name)}
    if annotation is str:
        return f"a {name}".replace("_", " ")
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next(iter(annotation))
    if is_dataclass(annotation):
        hints = get_type_hints(annotation)
        return annotation(**{field.name: _of(hints[field.name], field.name) for field in fields(annotation)})  # type: ignore[operator]
    raise TypeError(f"{name}: no sample of {annotation}")
