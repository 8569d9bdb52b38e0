"""Contracts change by addition only, are read whatever their age, and hold no personal data."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from shared.contract_schemas import breaking_changes, committed, schemas
from shared.contracts.registry import EVENTS
from shared.contracts.topics import BY_NAME, TOPICS
from shared.contracts.values import RiskSignals
from shared.messaging.codec import Malformed, decode_data, encode_data
from tests.contracts.samples import every_event

GOLDEN = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parent / "golden").glob("*.json")
}
RELEASED = [(version, event_type) for version, payloads in sorted(GOLDEN.items()) for event_type in sorted(payloads)]
PLACED, RECEIVED, PRODUCT = "orders.order.placed.v1", "support.return.received.v1", "catalog.product.published.v1"


# ── Schemas ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_that_was_committed_is_broken() -> None:
    assert breaking_changes(committed(), schemas()) == []


def test_the_committed_schemas_are_those_of_the_code() -> None:
    assert committed() == schemas(), "additions only? then run: make contracts"


@pytest.mark.parametrize(
    ("event_type", "change", "told"),
    [
        (PLACED, lambda s: s["properties"].pop("market"), f"{PLACED}.market is gone"),
        (
            PLACED,
            lambda s: s["properties"].update(number={"type": "integer"}),
            f"{PLACED}.number was string and is integer",
        ),
        (PLACED, lambda s: s["required"].append("quote_id"), f"{PLACED}.quote_id is newly required"),
        (PLACED, lambda s: s["$defs"]["OrderLine"]["properties"].pop("sku"), f"{PLACED}.lines[].sku is gone"),
        (
            PLACED,
            lambda s: s["$defs"]["PaymentMode"]["enum"].remove("collect"),
            f"{PLACED}.payment_mode is no more 'collect'",
        ),
        (
            PLACED,
            lambda s: s["properties"]["placed_at"].pop("format"),
            f"{PLACED}.placed_at was string (date-time) and is string",
        ),
        (PLACED, lambda s: s.update({"x-key": "number"}), f"{PLACED}: x-key changed"),
        (PLACED, lambda s: s.update({"x-topic": "orders.order.v2"}), f"{PLACED}: x-topic changed"),
        (RECEIVED, lambda s: s["properties"]["refund"]["anyOf"].pop(1), f"{RECEIVED}.refund may no more be null"),
        (
            PRODUCT,
            lambda s: s["properties"]["titles"]["additionalProperties"].update(type="integer"),
            f"{PRODUCT}.titles{{}} was string and is integer",
        ),
    ],
)
def test_a_change_that_breaks_somebody_is_told(event_type: str, change: Callable[[Any], object], told: str) -> None:
    after = copy.deepcopy(schemas())
    change(after[event_type])
    assert told in breaking_changes(schemas(), after)


def test_an_event_that_is_gone_is_told() -> None:
    after = schemas()
    del after[PLACED]
    assert breaking_changes(schemas(), after) == [f"{PLACED} is gone"]


def test_additions_break_nobody() -> None:
    after = copy.deepcopy(schemas())
    after[PLACED]["properties"]["gift"] = {"type": "boolean", "default": False}
    after[PLACED]["$defs"]["OrderLine"]["properties"]["gift"] = {"type": "boolean", "default": False}
    after[PLACED]["$defs"]["PaymentMode"]["enum"].append("invoice")
    after[PLACED]["properties"]["number"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    after["orders.order.gifted.v1"] = after[PLACED]
    assert breaking_changes(schemas(), after) == []


# ── Golden payloads ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("version", "event_type"), RELEASED)
def test_todays_code_reads_what_every_release_wrote(version: str, event_type: str) -> None:
    payload = GOLDEN[version][event_type]
    event = decode_data(event_type, json.dumps(payload))
    assert event is not None
    assert _holds(json.loads(encode_data(event)), payload)


@pytest.mark.parametrize(("version", "event_type"), RELEASED)
def test_fields_of_a_later_version_are_ignored_at_every_depth(version: str, event_type: str) -> None:
    payload = GOLDEN[version][event_type]
    assert decode_data(event_type, json.dumps(_with_news(payload))) == decode_data(event_type, json.dumps(payload))


def test_a_type_of_a_later_version_is_no_error() -> None:
    assert decode_data("orders.order.teleported.v1", b"{}") is None


def test_a_required_field_that_lacks_is_an_error_and_not_a_guess() -> None:
    payload = dict(GOLDEN["0.1.0"][PLACED])
    del payload["store_id"]
    with pytest.raises(Malformed, match="store_id"):
        decode_data(PLACED, json.dumps(payload))


def test_a_number_in_place_of_a_text_is_an_error() -> None:
    with pytest.raises(Malformed, match="number"):
        decode_data(PLACED, json.dumps(GOLDEN["0.1.0"][PLACED] | {"number": 7}))


def test_every_event_is_written_and_read_the_same() -> None:
    for event_type, event in every_event().items():
        assert decode_data(event_type, encode_data(event)) == event, event_type


def test_the_newest_release_has_a_golden_payload_of_every_event() -> None:
    newest = max(GOLDEN, key=lambda version: tuple(map(int, version.split("."))))
    missing = sorted(EVENTS.keys() - GOLDEN[newest].keys())
    assert not missing, f"release the new events with `python -m scripts.golden VERSION`: {missing}"


def _holds(now: Any, then: Any) -> bool:
    """Whether everything that was written then is written now; additions may stand beside it."""
    if isinstance(then, dict):
        return all(name in now and _holds(now[name], value) for name, value in then.items())
    if isinstance(then, list):
        return len(now) == len(then) and all(map(_holds, now, then))
    return now == then


_MAPS = frozenset({"titles"})  # their keys are data (languages), so that a further key is no unknown field


def _with_news(value: Any, name: str = "") -> Any:
    """A field that nobody knows in every object of a payload."""
    if isinstance(value, dict):
        news = {} if name in _MAPS else {"unheard_of": {"deep": [1]}}
        return {inner: _with_news(part, inner) for inner, part in value.items()} | news
    return [_with_news(part) for part in value] if isinstance(value, list) else value


# ── What an event may hold ────────────────────────────────────────────────────────────────────────────────────────────

PERSONAL = frozenset(
    {
        "name",
        "names",
        "firstname",
        "lastname",
        "surname",
        "recipient",
        "email",
        "emails",
        "mail",
        "phone",
        "mobile",
        "tel",
    }
    | {
        "street",
        "address",
        "addresses",
        "line1",
        "line2",
        "city",
        "postcode",
        "zip",
        "ip",
        "device",
        "customer",
        "birth",
    }
    | {
        "birthday",
        "birthdate",
        "gender",
        "passport",
        "ssn",
        "note",
        "notes",
        "comment",
        "text",
        "body",
        "pan",
        "cvv",
        "iban",
    }
)


def _field_names(kind: Any) -> Iterator[tuple[type, str]]:
    """(class, field) of a dataclass and of everything inside it."""
    for inner in get_args(kind):
        yield from _field_names(inner)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        for field in fields(kind):
            yield kind, field.name
            yield from _field_names(hints[field.name])


def _personal(name: str) -> bool:
    return not PERSONAL.isdisjoint(name.split("_"))


@pytest.mark.parametrize("event_type", sorted(EVENTS))
def test_no_event_has_a_field_for_personal_data(event_type: str) -> None:
    # Keyed hashes are the one exception, and they live in one class only.
    walked = _field_names(EVENTS[event_type])
    assert {f"{kind.__name__}.{name}" for kind, name in walked if kind is not RiskSignals and _personal(name)} == set()


def test_the_walk_reaches_nested_fields_and_would_find_a_name() -> None:
    walked = {f"{kind.__name__}.{name}" for kind, name in _field_names(EVENTS[PLACED])}
    assert {"OrderPlaced.lines", "OrderLine.sku", "Money.amount", "RiskSignals.email"} <= walked
    assert _personal("customer_email")
    assert _personal("street")
    assert not _personal("order_id")


# ── Topics ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("event_type", sorted(EVENTS))
def test_an_events_type_says_where_it_comes_from(event_type: str) -> None:
    kind = EVENTS[event_type]
    assert re.fullmatch(r"[a-z]+\.[a-z]+\.[a-z_]+\.v[0-9]+", event_type)
    assert event_type.split(".")[:2] == kind.topic.name.split(".")[:2]
    assert kind.__module__ == f"shared.contracts.{event_type.partition('.')[0]}"
    assert BY_NAME[kind.topic.name] is kind.topic


def test_every_topic_has_events() -> None:
    assert {kind.topic.name for kind in EVENTS.values()} == {topic.name for topic in TOPICS}
