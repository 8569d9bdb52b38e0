"""JSON of the values that use cases and views hold."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

import orjson
from pydantic import BaseModel

from shared.money import Money


def dumps(value: Any) -> bytes:
    """JSON of what use cases and views hold: dataclasses, Money (amount as a string), enums, instants, pydantic models."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_UTC_Z)


def _plain(value: Any) -> Any:
    if isinstance(value, Money):
        return {"amount": str(value.amount), "currency": value.currency}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, frozenset | set):
        return sorted(cast("set[str]", value))
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"{type(value).__name__} has no JSON form")
