"""What rows hold as JSON, to and from the domain. Facts are stored as far as they differ from knowing nothing."""

from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter

from services.orders.domain.facts import NOTHING_KNOWN, Facts
from shared.contracts.values import Reason

_facts = TypeAdapter(Facts)
_reasons = TypeAdapter(tuple[Reason, ...])
_DEFAULTS = tuple((field.name, getattr(NOTHING_KNOWN, field.name)) for field in fields(Facts))


def facts_to_json(facts: Facts) -> dict[str, Any]:
    """The facts that are known."""
    return {name: value for name, default in _DEFAULTS if (value := getattr(facts, name)) != default}


def facts_from_json(stored: Any) -> Facts:
    """The facts of a row."""
    return _facts.validate_python(stored) if stored else NOTHING_KNOWN


def reasons_from_json(stored: Any) -> tuple[Reason, ...]:
    """The reasons of a hold or a rejection."""
    return _reasons.validate_python(stored) if stored else ()
