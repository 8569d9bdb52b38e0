"""From the rule book's data to rules: everything is checked, and a mistake names its file and rule."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar, cast, get_origin

from services.logistics.domain.conditions import CONDITIONS
from services.logistics.domain.rules import (
    EVERYWHERE,
    Clock,
    Condition,
    Confidence,
    Limit,
    Outcome,
    Rule,
    Rulebook,
)
from shared.contracts.logistics import Mode
from shared.contracts.values import GoodsFlag

Table = Mapping[str, Any]
E = TypeVar("E", bound=StrEnum)

_RULE_KEYS = frozenset(
    [
        "id",
        "valid_from",
        "valid_to",
        "applies_on",
        "source",
        "confidence",
        "outcome",
        "clears_with",
        "kind",
        "supersedes",
    ]
)
_LIMIT_KEYS = frozenset(
    ["id", "mode", "flag", "valid_from", "valid_to", "source", "confidence", "max_units", "max_grams"]
)


class RulebookError(ValueError):
    """The rule book contradicts itself or says what nobody understands."""


def read_rulebook(files: Mapping[str, Table]) -> Rulebook:
    """The rule book out of parsed TOML by file name. A file has a `jurisdiction`, `[[rule]]` and `[[limit]]` tables.

    Raises RulebookError: unknown keys, missing ones, wrong types, an id twice, a period that ends before it begins, a
    rule that supersedes none or overlaps the one that it supersedes.
    """
    rules: dict[str, Rule] = {}
    limits: dict[str, Limit] = {}
    superseded: list[tuple[str, str]] = []
    for name, content in sorted(files.items()):
        _only(content, {"jurisdiction", "rule", "limit"}, name)
        jurisdiction = _text(content, "jurisdiction", name)
        if jurisdiction not in ("EU", EVERYWHERE) and not (len(jurisdiction) == 2 and jurisdiction.isupper()):
            raise RulebookError(f"{name}: {jurisdiction!r} is neither EU, a country nor {EVERYWHERE}")
        for table, where in _tables(content, "rule", name, (rules, limits)):
            rules[table["id"]] = _rule(table, jurisdiction, where)
            if "supersedes" in table:
                superseded.append((table["id"], _text(table, "supersedes", where)))
        for table, where in _tables(content, "limit", name, (rules, limits)):
            limits[table["id"]] = _limit(table, where)
    _check_succession(rules, superseded)
    return Rulebook.of(list(rules.values()), list(limits.values()), dict(files))


def _tables(
    content: Table, kind: str, name: str, taken: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> Iterator[tuple[Table, str]]:
    for number, table in enumerate(content.get(kind, ()), start=1):
        identity = _text(table, "id", f"{name}, {kind} {number}")
        if any(identity in known for known in taken):
            raise RulebookError(f"{name}: {identity} is there twice")
        yield table, f"{name}, {identity}"


def _rule(table: Table, jurisdiction: str, where: str) -> Rule:
    valid_from, valid_to = _period(table, where)
    return Rule(
        id=table["id"],
        jurisdiction=jurisdiction,
        valid_from=valid_from,
        valid_to=valid_to,
        applies_on=_one_of(Clock, table, "applies_on", where),
        source=_text(table, "source", where),
        confidence=_one_of(Confidence, table, "confidence", where),
        outcome=_one_of(Outcome, table, "outcome", where),
        clears_with=str(table.get("clears_with", "")),
        condition=_condition(table, where),
    )


def _condition(table: Table, where: str) -> Condition:
    kind = CONDITIONS.get(_text(table, "kind", where))
    if kind is None:
        raise RulebookError(f"{where}: there is no condition {table['kind']!r}")
    parameters = fields(cast("Any", kind))
    _only(table, _RULE_KEYS | {parameter.name for parameter in parameters}, where)
    given: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name not in table and parameter.default is MISSING:
            raise RulebookError(f"{where}: {table['kind']} needs {parameter.name}")
        given[parameter.name] = _parameter(parameter, table[parameter.name], where)
    return cast("Any", kind)(**given)


def _parameter(parameter: Field[Any], value: Any, where: str) -> Any:
    """The value as the condition wants it: a whole number, a text, or a list of texts."""
    wanted = get_origin(parameter.type) or parameter.type
    found = tuple(cast("list[Any]", value)) if isinstance(value, list) else value
    if type(found) is not wanted or (wanted is tuple and not (found and all(isinstance(each, str) for each in found))):
        raise RulebookError(f"{where}: {parameter.name} is not what it must be")
    return found


def _limit(table: Table, where: str) -> Limit:
    _only(table, _LIMIT_KEYS, where)
    valid_from, valid_to = _period(table, where)
    return Limit(
        id=table["id"],
        mode=_one_of(Mode, table, "mode", where),
        flag=_one_of(GoodsFlag, table, "flag", where),
        valid_from=valid_from,
        valid_to=valid_to,
        source=_text(table, "source", where),
        confidence=_one_of(Confidence, table, "confidence", where),
        max_units=_maximum(table, "max_units", where),
        max_grams=_maximum(table, "max_grams", where),
    )


def _check_succession(rules: Mapping[str, Rule], superseded: list[tuple[str, str]]) -> None:
    for successor, predecessor in superseded:
        old, new = rules.get(predecessor), rules[successor]
        if old is None or old.jurisdiction != new.jurisdiction:
            raise RulebookError(f"{successor} supersedes {predecessor}, which is no rule of {new.jurisdiction}")
        if old.valid_to is None or old.valid_to >= new.valid_from:
            raise RulebookError(f"{predecessor} must end before {successor} begins")


def _period(table: Table, where: str) -> tuple[date, date | None]:
    valid_from, valid_to = table.get("valid_from"), table.get("valid_to")
    # A TOML date-time is a date, too; a rule's day has no time.
    if type(valid_from) is not date or not (valid_to is None or type(valid_to) is date):
        raise RulebookError(f"{where}: valid_from and valid_to are days")
    if valid_to is not None and valid_to < valid_from:
        raise RulebookError(f"{where}: it ends before it begins")
    return valid_from, valid_to


def _maximum(table: Table, key: str, where: str) -> int | None:
    value = table.get(key)
    if value is not None and (type(value) is not int or value < 0):
        raise RulebookError(f"{where}: {key} is not a whole number")
    return value


def _one_of(kind: type[E], table: Table, key: str, where: str) -> E:
    try:
        return kind(_text(table, key, where))
    except ValueError as error:
        raise RulebookError(f"{where}: {error}") from error


def _text(table: Table, key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise RulebookError(f"{where}: {key} is missing")
    return value


def _only(table: Table, known: "set[str] | frozenset[str]", where: str) -> None:
    if unknown := sorted(set(table) - known):
        raise RulebookError(f"{where}: nobody understands {', '.join(unknown)}")
