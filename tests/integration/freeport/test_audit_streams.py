"""The audit's checks of the event streams, against databases with the kit's tables: each broken on purpose."""

import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from freeport.audit.attention import letters_open, streams_halted
from freeport.audit.books import Books, Connection
from freeport.audit.check import ask
from freeport.audit.quiet import Outside, Work, books_at_rest, work_left
from freeport.audit.streams import CHECKS
from freeport.audit.stuck import Stuck
from freeport.sandbox.carrier.desk import SCHEMA
from shared.migrations import migrate
from tests.fixtures.embedded import RunningPostgres

pytestmark = pytest.mark.integration

# Orders has published two events of an order; inventory and orders' own timeline have applied them, and inventory has published
# one of its own, that orders has applied.
_ORDERS = """
INSERT INTO stream_head (topic, key, sequence) VALUES ('orders.order.v1', 'ord_1', 2);
INSERT INTO outbox (event_id, topic, key, sequence, type, headers, payload, published_at) VALUES
    ('evt_1', 'orders.order.v1', 'ord_1', 1, 'orders.order.placed.v1', '{}', '{}', now()),
    ('evt_2', 'orders.order.v1', 'ord_1', 2, 'orders.order.confirmed.v1', '{}', '{}', now());
INSERT INTO stream_position (consumer, topic, key, version, sequence)
    VALUES ('orders', 'inventory.reservation.v1', 'ord_1', 1, 1), ('orders', 'orders.order.v1', 'ord_1', 2, 2);
"""
_INVENTORY = """
INSERT INTO stream_head (topic, key, sequence) VALUES ('inventory.reservation.v1', 'ord_1', 1);
INSERT INTO outbox (event_id, topic, key, sequence, type, headers, payload, published_at) VALUES
    ('evt_3', 'inventory.reservation.v1', 'ord_1', 1, 'inventory.reservation.reserved.v1', '{}', '{}', now());
INSERT INTO stream_position (consumer, topic, key, version, sequence)
    VALUES ('inventory', 'orders.order.v1', 'ord_1', 2, 2);
"""
_CALL = "INSERT INTO outside_call (id, kind, key, request, context, next_at) VALUES ('c1', 'book', 'ord_1', '{}', '{}', now() + interval '%s')"


@pytest.fixture(scope="module")
async def urls(postgres: RunningPostgres) -> dict[str, str]:
    made: dict[str, str] = {}
    for service, rows in (("orders", _ORDERS), ("inventory", _INVENTORY)):
        database = await postgres.create_database(service)
        await migrate(database.owner_url, service=service, versions=None)
        connection = await asyncpg.connect(database.owner_url)
        await connection.execute(rows)
        await connection.close()
        made[service] = database.owner_url
    return made


@pytest.fixture
async def databases(urls: dict[str, str]) -> AsyncIterator[dict[str, Connection]]:
    """Connections in transactions that are rolled back: what a test breaks is whole for the next."""
    connections: dict[str, Connection] = {service: await asyncpg.connect(url) for service, url in urls.items()}
    transactions = [connection.transaction() for connection in connections.values()]
    for transaction in transactions:
        await transaction.start()
    yield connections
    for transaction in transactions:
        await transaction.rollback()
    for connection in connections.values():
        await connection.close()


async def violations(databases: dict[str, Connection]) -> dict[str, tuple[str, ...]]:
    verdicts = [await ask(check, Books(databases)) for check in CHECKS]
    return {verdict.name: verdict.violations for verdict in verdicts if not verdict.ok}


async def test_sound_streams_have_no_violation_and_are_really_looked_at(databases: dict[str, Connection]) -> None:
    assert await violations(databases) == {}
    looked_at = {check.name: (await ask(check, Books(databases))).checked for check in CHECKS}
    assert looked_at["streams.gapless"] == 2
    assert looked_at["streams.published"] == 3
    assert looked_at["streams.applied"] == 3


@pytest.mark.parametrize(
    ("service", "sql", "check", "words"),
    [
        ("orders", "DELETE FROM outbox WHERE sequence = 1", None, ""),  # the oldest go after seven days
        ("orders", "DELETE FROM outbox WHERE sequence = 2", "streams.gapless", "orders.order.v1 ord_1: head 2"),
        ("orders", "UPDATE outbox SET sequence = 3 WHERE sequence = 2", "streams.gapless", "2 events 1 to 3"),
        (
            "inventory",
            "DELETE FROM stream_head",
            "streams.gapless",
            "inventory.reservation.v1 ord_1: events without a head",
        ),
        (
            "orders",
            "UPDATE outbox SET published_at = NULL WHERE sequence = 2",
            "streams.published",
            "#2 is not published",
        ),
        (
            "inventory",
            "INSERT INTO parked_message VALUES ('inventory', 'orders.order.v1', 'ord_1', 4, '{}', '{}', now())",
            "streams.nothing_parked",
            "#4 is parked",
        ),
        (
            "orders",
            "UPDATE stream_head SET halted = true",
            "streams.nothing_parked",
            "publishing orders.order.v1 ord_1 is halted, and no dead letter tells why",
        ),
        (
            "inventory",
            "UPDATE stream_position SET halted = true",
            "streams.nothing_parked",
            "consuming orders.order.v1",
        ),
        ("inventory", "UPDATE stream_position SET sequence = 1", "streams.applied", "inventory is at 1 of 2"),
        ("inventory", "UPDATE stream_position SET sequence = 3", "streams.applied", "inventory is at 3 of 2"),
        ("orders", _CALL % "-2 minutes", "calls.made", "call c1 (book ord_1) is overdue"),
        ("orders", _CALL % "1 hour", None, ""),
    ],
)
async def test_what_is_broken_is_reported(
    databases: dict[str, Connection], service: str, sql: str, check: str | None, words: str
) -> None:
    await databases[service].execute(sql)
    found = await violations(databases)
    if check is None:
        assert found == {}
        return
    assert check in found
    assert any(words in violation for violation in found[check])


async def test_an_event_that_nobody_has_read_is_missed(databases: dict[str, Connection]) -> None:
    await databases["orders"].execute(
        "INSERT INTO stream_head (topic, key, sequence) VALUES ('orders.order.v1', 'ord_2', 1)"
    )
    found = await violations(databases)
    assert found["streams.applied"] == tuple(
        f"{who} is at 0 of 1 in orders.order.v1 ord_2" for who in ("orders", "inventory")
    )


@pytest.mark.parametrize(
    ("service", "sql", "work"),
    [
        ("orders", "UPDATE outbox SET published_at = NULL", "2 events to publish"),
        ("inventory", "UPDATE stream_position SET sequence = 0", "2 to consume"),
        ("inventory", "DELETE FROM stream_position", "2 to consume"),  # the first events ever of this topic
        ("orders", _CALL % "-1 second", "1 calls to make"),
        ("orders", _CALL % "1 minute", "1 calls to make"),  # claimed: somebody makes it now
        ("orders", _CALL % "5 minutes", "1 calls to make"),  # it failed, or nobody knows: it is made again later
        (
            "orders",
            "INSERT INTO deadline (kind, key, due_at, context) VALUES ('x', 'y', now(), '{}')",
            "1 deadlines due",
        ),
    ],
)
async def test_what_is_under_way_is_no_rest(
    databases: dict[str, Connection], service: str, sql: str, work: str
) -> None:
    assert not (await work_left(Books(databases))).any
    await databases[service].execute(sql)
    assert work in str(await work_left(Books(databases)))


# ── What a dead letter explains ───────────────────────────────────────────────────────────────────────────────────────

_LETTER = (
    "INSERT INTO dead_letter (id, source, consumer, topic, key, sequence, headers, payload, error, attempts)"
    " VALUES ('dlt_1', '{source}', '{consumer}', 'orders.order.v1', 'ord_1', {sequence}, '{{}}', '{{}}', 'ValueError()', 3);"
)
_PARKED = "INSERT INTO parked_message VALUES ('inventory', 'orders.order.v1', 'ord_1', 2, '{}', '{}', now());"
_UNDECIDABLE = (
    _LETTER.format(source="event", consumer="inventory", sequence=1)
    + "UPDATE stream_position SET sequence = 0, halted = true;"
    + _PARKED
)
_MISSING = (
    _LETTER.format(source="gap", consumer="inventory", sequence=1)
    + "UPDATE stream_position SET sequence = 0;"
    + _PARKED
)
_REFUSED_BY_KAFKA = (
    _LETTER.format(source="stream", consumer="", sequence=2)
    + "UPDATE stream_head SET halted = true; UPDATE outbox SET published_at = NULL WHERE sequence = 2;"
)
_CLOSE = "UPDATE dead_letter SET state = 'parked'"


@pytest.mark.parametrize(
    ("service", "sql", "halted"),
    [("inventory", _UNDECIDABLE, 1), ("inventory", _MISSING, 0), ("orders", _REFUSED_BY_KAFKA, 1)],
    ids=["an event that cannot be decided", "an event that never came", "an event that Kafka will not take"],
)
async def test_what_stands_still_behind_an_open_letter_is_listed_once_and_breaks_no_invariant(
    databases: dict[str, Connection], service: str, sql: str, halted: int
) -> None:
    await databases[service].execute(sql)
    if service == "orders":
        for consumer in databases.values():  # nobody has the event that Kafka will not take
            await consumer.execute("UPDATE stream_position SET sequence = 1 WHERE topic = 'orders.order.v1'")
    assert await violations(databases) == {}
    assert not (await work_left(Books(databases))).any
    [letter] = await letters_open(Books(databases))
    assert letter.about == "ord_1"
    assert f"{service}: dlt_1" in letter.says
    assert "freeport dlq" in letter.clears_with
    stood = await streams_halted(Books(databases))
    assert [(item.about, "dlt_1" in item.clears_with) for item in stood] == [("ord_1", True)] * halted


@pytest.mark.parametrize(
    ("service", "sql"), [("inventory", _UNDECIDABLE), ("inventory", _MISSING), ("orders", _REFUSED_BY_KAFKA)]
)
async def test_without_its_letter_the_same_is_a_violation(
    databases: dict[str, Connection], service: str, sql: str
) -> None:
    await databases[service].execute(sql)
    await databases[service].execute(_CLOSE)
    assert "streams.nothing_parked" in await violations(databases)


async def test_a_letter_excuses_no_position_ahead_of_its_head_and_no_other_stream(
    databases: dict[str, Connection],
) -> None:
    await databases["inventory"].execute(_UNDECIDABLE)
    await databases["inventory"].execute("UPDATE stream_position SET sequence = 3")
    assert "inventory is at 3 of 2 in orders.order.v1 ord_1" in (await violations(databases))["streams.applied"]
    await databases["inventory"].execute("UPDATE stream_position SET sequence = 0")
    await databases["orders"].execute("UPDATE stream_position SET sequence = 0")
    assert "orders is at 0 of 1 in inventory.reservation.v1 ord_1" in (await violations(databases))["streams.applied"]


async def test_the_letter_of_a_call_is_about_the_order_that_was_called_for(databases: dict[str, Connection]) -> None:
    await databases["orders"].execute(_CALL % "1 hour")
    await databases["orders"].execute(
        "INSERT INTO dead_letter (id, source, consumer, topic, key, sequence, headers, payload, error, attempts)"
        " VALUES ('dlt_2', 'call', '', 'book', 'c1', 0, '{}', '{}', 'KeyError()', 3)"
    )
    assert (await Stuck.of(Books(databases))).subjects == {"ord_1"}


async def test_waiting_for_rest_ends_at_rest_and_in_time(urls: dict[str, str]) -> None:
    assert not (await left(urls, Outside())).any
    connection = await asyncpg.connect(urls["orders"])
    await connection.execute("UPDATE outbox SET published_at = NULL")
    assert (await left(urls, Outside())).unpublished == 2
    await connection.execute("UPDATE outbox SET published_at = now()")
    await connection.close()


async def test_a_halted_stream_does_not_keep_from_rest_but_a_position_ahead_of_its_head_does(
    databases: dict[str, Connection],
) -> None:
    await databases["inventory"].execute("UPDATE stream_position SET sequence = 3")
    assert (await work_left(Books(databases))).unread == 1
    await databases["inventory"].execute("UPDATE stream_position SET halted = true")
    assert not (await work_left(Books(databases))).any


async def test_a_webhook_that_the_carrier_has_still_to_tell_is_no_rest(urls: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "carrier.sqlite3"
    book = sqlite3.connect(file)
    book.executescript(SCHEMA)
    for due_at in (None, time.time() - 5, time.time() + 3600):
        book.execute(
            "INSERT INTO webhook (id, body, created_at, due_at, deliveries) VALUES (?, ?, 0, ?, 1)",
            (str(due_at), "", due_at),
        )
    book.commit()
    assert (await left(urls, Outside(carrier=file))).webhooks == 1
    book.execute("DELETE FROM webhook")
    book.commit()
    book.close()
    assert not (await left(urls, Outside(carrier=file))).any


async def left(urls: dict[str, str], outside: Outside) -> Work:
    async with books_at_rest(urls, outside, within=0.0) as (_, work):
        return work
