"""Dead letters: what a key that halts waits for, and what a redrive and a parking do to it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from shared import runtime, telemetry
from shared.contracts.catalog import ProductWithdrawn
from shared.contracts.orders import OrderCancelled, OrderConfirmed
from shared.contracts.values import Allocation
from shared.database import Database
from shared.effects import Call
from shared.errors import Refused
from shared.messaging import deadletters
from shared.messaging.codec import SKIPPED, Envelope
from shared.messaging.deadletters import Act
from shared.messaging.sources import EventBatch
from tests.fixtures.bench import Bench, BenchFactory
from tests.kit.till import main as till
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration
MARIA = Act(actor="sk_op_123456", operator="maria", reason="the cause is gone")


@pytest.fixture(autouse=True)
def broken() -> Iterator[None]:
    yield
    till.BROKEN.clear()
    till.BROKEN.add("poison")


def confirmed(order_id: str, sku: str = "fine") -> OrderConfirmed:
    return OrderConfirmed(
        order_id=order_id, allocations=(Allocation(sku=sku, warehouse="w", country="DE", quantity=1),)
    )


def cancelled(order_id: str) -> OrderCancelled:
    return OrderCancelled(order_id=order_id, reason="test", requested_by="buyer")


async def count(bench: Bench, name: str) -> int:
    return await bench.database.fetchval("SELECT units FROM till WHERE name = $1", name) or 0


async def letters(bench: Bench, state: str = "open") -> list[dict[str, Any]]:
    return [dict(letter) for letter in await deadletters.listed(bench.database, state=state)]


async def parked(bench: Bench) -> list[tuple[str, int]]:
    rows = await bench.database.fetch("SELECT key, sequence FROM parked_message ORDER BY key, sequence")
    return [(row["key"], row["sequence"]) for row in rows]


def changed(envelope: Envelope, payload: bytes | None = None, **attributes: str) -> Envelope:
    data = envelope.payload if payload is None else payload
    return replace(envelope, attributes={**envelope.attributes, **attributes}, payload=data)


# ── What lands there ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("payload", "attributes", "complaint"),
    [
        (b'{"order_id": 7', {}, "does not fit its contract"),
        (b'{"order_id": "o2", "allocations": 7}', {}, "does not fit its contract"),
        (b"\\xff\\xfe", {}, "does not fit its contract"),
        (b"", {}, "it has no data"),
        (b'{"note": "' + b"a" * 1024 * 1024 + b'"}', {}, "larger than"),
        (None, {"ce_subject": "o9"}, "not the record's key"),
        (None, {"ce_id": ""}, "lacks ce_id"),
        (None, {"ce_type": "orders.order.confirmed.v2"}, "unknown version"),
        (None, {"ce_dataschema": "/schemas/orders.order.confirmed.v7.json"}, "unknown version"),
        (None, {"ce_type": "payments.payment.captured.v1"}, "does not belong to this topic"),
        (None, {"ce_time": "at noon"}, "ce_time"),
    ],
)
async def test_what_is_malformed_halts_its_key_when_its_turn_has_come_and_no_other(
    service_bench: BenchFactory, payload: bytes | None, attributes: dict[str, str], complaint: str
) -> None:
    bench = await service_bench(SERVICE)
    first, bad, behind = (bench.envelope(confirmed("o2")) for _ in range(3))
    other = bench.envelope(confirmed("o1"))
    bad = changed(bad, payload, **attributes)
    await bench.settle([bad, behind])  # before its predecessor: it is too early to say anything
    assert await letters(bench) == []
    await bench.settle([first, other])
    await bench.released()
    (letter,) = await letters(bench)
    assert (letter["source"], letter["key"], letter["sequence"]) == ("event", "o2", 2)
    assert complaint in letter["error"]
    assert (letter["waiting"], letter["first_waiting"], letter["last_waiting"]) == (1, 3, 3)
    assert (await count(bench, "o1"), await count(bench, "o2")) == (1, 1)


async def test_the_topic_read_again_adds_no_letter_and_leaves_nothing_behind_when_it_is_parked(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    log = [bench.envelope(confirmed("o", sku)) for sku in ("fine", "poison", "fine", "fine")]
    for _ in range(3):
        await bench.settle(log)
    (letter,) = await letters(bench)
    assert (letter["sequence"], letter["attempts"], letter["waiting"]) == (2, 3, 2)
    await deadletters.park(bench.database, letter["id"], MARIA)
    await bench.released()
    await bench.settle(log)
    assert (await count(bench, "o"), await parked(bench)) == (3, [])
    assert (await letters(bench), [found["id"] for found in await letters(bench, "parked")]) == ([], [letter["id"]])


async def test_an_event_of_a_new_type_passes_and_the_next_one_counts(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    new = changed(bench.envelope(confirmed("o")), b"{}", ce_type="orders.order.gift_wrapped.v1")
    given_up = changed(bench.envelope(confirmed("o")), b"{}", ce_type=SKIPPED)
    await bench.settle([new, given_up, bench.envelope(confirmed("o"))])
    assert (await count(bench, "o"), await letters(bench), await parked(bench)) == (1, [], [])


async def test_a_command_that_cannot_be_decided_is_answered_and_leaves_no_letter(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    async with bench.client as client:
        answer = await client.post("/v1/additions", json={"name": "poison", "units": 1})
    assert answer.status_code == 500
    assert await bench.database.fetchval("SELECT count(*) FROM dead_letter") == 0


async def test_what_another_replica_decided_meanwhile_is_not_set_aside(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    event = bench.envelope(confirmed("o"))
    await bench.settle([event, bench.envelope(confirmed("o"))])
    async with bench.database.transaction() as connection:
        await deadletters.bury_event(event, SERVICE.name, "an older release could not read it", 3, connection)
    await bench.deliver(confirmed("o"))
    assert (await count(bench, "o"), await letters(bench)) == (3, [])


async def test_a_first_event_that_another_replica_decides_at_this_moment_halts_nothing(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await service_bench(SERVICE)
    replica, event, bury = await bench.replica(), bench.envelope(confirmed("o")), deadletters.bury

    async def overtaken(*args: Any, **kwargs: Any) -> str:
        await replica.settle([event])
        return await bury(*args, **kwargs)

    monkeypatch.setattr(deadletters, "bury", overtaken)
    await bench.kit.desk._give_up(EventBatch([event], SERVICE.name), ValueError("an older release"), 3)
    await bench.deliver(confirmed("o"))
    assert (await count(bench, "o"), await letters(bench), await parked(bench)) == (2, [], [])


async def test_poison_in_a_state_topic_halts_nothing_and_the_next_version_overtakes_it(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    bad, good = (bench.envelope(ProductWithdrawn(sku="mug", version=version)) for version in (1, 2))
    bad = changed(bad, b"{")
    await bench.settle([bad])
    (letter,) = await letters(bench)
    await bench.settle([good])
    await bench.settle([bad])
    await deadletters.redrive(bench.database, letter["id"], MARIA)
    assert (await bench.released(), await letters(bench), await parked(bench)) == (0, [], [])


async def test_a_parked_state_stays_parked_when_it_is_read_again(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    bad = changed(bench.envelope(ProductWithdrawn(sku="mug", version=1)), b"{")
    await bench.settle([bad])
    (letter,) = await letters(bench)
    await deadletters.park(bench.database, letter["id"], MARIA)
    await bench.settle([bad])
    assert await letters(bench) == []


async def test_a_row_that_the_database_refuses_is_not_quoted_in_the_letter(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await service_bench(SERVICE)

    async def save(state: Any, connection: Any) -> None:
        await connection.execute("INSERT INTO till (name, units) VALUES ('Erika Mustermann', -1)")

    monkeypatch.setattr(bench.kit.desk, "save", save)
    await bench.deliver(confirmed("o"))
    (letter,) = await letters(bench)
    assert letter["error"].startswith("CheckViolationError: new row for relation")
    assert "Erika" not in letter["error"]


# ── Redrive ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_redriven_letter_that_fails_again_is_open_again_with_its_attempts_counted_up(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o"), confirmed("o", "poison"), confirmed("o"))
    (before,) = await letters(bench)
    await deadletters.redrive(bench.database, before["id"], MARIA)
    (redriven,) = await letters(bench, "redriven")
    assert redriven["decided"] is False
    await bench.released()
    (after,) = await letters(bench)
    assert (after["id"], after["attempts"], after["waiting"]) == (before["id"], 2 * before["attempts"], 1)
    assert (after["first_failed_at"], after["failed_at"] > before["failed_at"]) == (before["first_failed_at"], True)
    assert await count(bench, "o") == 1
    till.BROKEN.clear()
    await deadletters.redrive(bench.database, before["id"], MARIA)
    await bench.released()
    (redriven,) = await letters(bench, "redriven")
    assert (redriven["decided"], await count(bench, "o"), await parked(bench)) == (True, 3, [])


@pytest.mark.parametrize("round_", range(5))
async def test_a_redrive_among_two_replicas_and_a_stream_of_new_events_keeps_the_order(
    service_bench: BenchFactory, round_: int
) -> None:
    bench = await service_bench(SERVICE)
    replica = await bench.replica()
    # Counting and doubling do not commute: any other order ends at another number.
    await bench.deliver(confirmed("o"), confirmed("o", "poison"), cancelled("o"), confirmed("o"))
    till.BROKEN.clear()
    (letter,) = await letters(bench)
    new = [bench.envelope(event) for event in (cancelled("o"), confirmed("o"), cancelled("o"), confirmed("o")) * 3]

    async def arrive(at: Bench, step: int) -> None:
        for envelope in new[::step]:
            await at.settle([envelope])
            await at.released()

    await asyncio.gather(
        arrive(bench, 1), arrive(replica, -1), deadletters.redrive(replica.database, letter["id"], MARIA)
    )
    while await bench.released():
        pass
    units = 1
    for event in (confirmed, cancelled, confirmed, *(cancelled, confirmed, cancelled, confirmed) * 3):
        units = units + 1 if event is confirmed else units * 2
    assert (await count(bench, "o"), await parked(bench), await letters(bench)) == (units, [], [])


async def test_a_right_copy_that_came_meanwhile_is_what_a_redrive_decides(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    good = bench.envelope(confirmed("o"))
    await bench.settle([changed(good, b"{")])
    await bench.settle([good])
    (letter,) = await letters(bench)
    await deadletters.redrive(bench.database, letter["id"], MARIA)
    await bench.released()
    assert (await count(bench, "o"), await letters(bench), await parked(bench)) == (1, [], [])


async def test_two_people_who_redrive_and_park_at_once_are_told_apart(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o", "poison"))
    (letter,) = await letters(bench)
    answers = await asyncio.gather(
        deadletters.park(bench.database, letter["id"], MARIA),
        deadletters.redrive(bench.database, letter["id"], MARIA),
        return_exceptions=True,
    )
    (refused,) = [answer for answer in answers if answer is not None]
    assert isinstance(refused, Refused)
    assert refused.refusal.code == "dead_letter.settled"
    outcomes = [action["outcome"] for action in await deadletters.actions(bench.database)]
    assert sorted(outcomes) == ["dead_letter.settled", "done"]


async def test_a_deadline_is_redriven_as_one_that_is_due_now(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o"))
    save, down = bench.kit.desk.save, True

    async def failing(state: Any, connection: Any) -> None:
        if down:
            raise ZeroDivisionError
        await save(state, connection)

    monkeypatch.setattr(bench.kit.desk, "save", failing)
    await bench.due()
    (letter,) = await letters(bench)
    assert (letter["source"], letter["topic"], letter["key"]) == ("deadline", "till.close", "o")
    await deadletters.redrive(bench.database, letter["id"], MARIA)
    await bench.overdue()
    (again,) = await letters(bench)
    assert (again["id"], again["attempts"]) == (letter["id"], 2 * letter["attempts"])
    down = False
    await deadletters.redrive(bench.database, letter["id"], MARIA)
    await bench.overdue()
    assert (await count(bench, "closed"), (await letters(bench, "redriven"))[0]["decided"]) == (1, True)


async def test_a_call_is_redriven_with_the_same_id_and_one_that_is_no_longer_kept_is_refused(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o1"), confirmed("o2"))
    await bench.due()
    save, down, asked = bench.kit.desk.save, True, list[str]()

    async def failing(state: Any, connection: Any) -> None:
        if down:
            raise ZeroDivisionError
        await save(state, connection)

    async def ring(call: Call) -> dict[str, Any] | None:
        asked.append(call.id)
        return {"ok": True}

    monkeypatch.setattr(bench.kit.desk, "save", failing)
    assert await bench.calls({"till.ring": ring}) == 2
    down = False
    one, two = await letters(bench)
    assert {one["source"], two["source"]} == {"call"}
    await deadletters.redrive(bench.database, one["id"], MARIA)
    await bench.calls({"till.ring": ring})
    assert (asked.count(one["key"]), await count(bench, "rung")) == (2, 1)
    await bench.database.execute("DELETE FROM outside_call WHERE id = $1", two["key"])
    with pytest.raises(Refused, match=r"dead_letter\.call_gone"):
        await deadletters.redrive(bench.database, two["id"], MARIA)
    assert [letter["id"] for letter in await letters(bench)] == [two["id"]]


# ── Park ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_parked_letter_never_takes_effect_and_what_waited_goes_on(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o"), confirmed("o", "poison"), cancelled("o"), confirmed("o"))
    till.BROKEN.clear()
    (letter,) = await letters(bench)
    await deadletters.park(bench.database, letter["id"], MARIA)
    await bench.released()
    assert (await count(bench, "o"), await parked(bench)) == (3, [])  # counted, doubled, counted
    (given_up,) = await letters(bench, "parked")
    assert (given_up["note"], given_up["decided"]) == ("the cause is gone", False)


# ── Events that do not come ───────────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_that_others_wait_for_too_long_is_a_letter_and_closed_when_it_comes(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    first, *others = (bench.envelope(confirmed("o")) for _ in range(4))
    await bench.settle(others)
    await deadletters.note_gaps(bench.database)
    assert await letters(bench) == []  # it may still come
    for _ in range(2):
        await deadletters.note_gaps(bench.database, patience_s=0)
    (letter,) = await letters(bench)
    assert (letter["source"], letter["key"], letter["sequence"]) == ("gap", "o", 1)
    assert (letter["waiting"], letter["first_waiting"], letter["last_waiting"]) == (3, 2, 4)
    with pytest.raises(Refused, match="has not come"):
        await deadletters.redrive(bench.database, letter["id"], MARIA)
    await bench.settle([first])
    await deadletters.note_gaps(bench.database, patience_s=0)
    (closed,) = await letters(bench, "redriven")
    assert (closed["note"], closed["decided"], await count(bench, "o")) == ("it came by itself", True, 4)


async def test_a_parked_gap_is_passed_over_up_to_what_waits(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    events = [bench.envelope(confirmed("o")) for _ in range(6)]
    await bench.settle([events[0], events[3], events[5]])
    await deadletters.note_gaps(bench.database, patience_s=0)
    (letter,) = await letters(bench)
    assert letter["sequence"] == 2
    await deadletters.park(bench.database, letter["id"], MARIA)
    await bench.released()
    assert (await count(bench, "o"), await parked(bench)) == (2, [("o", 6)])
    await bench.settle([events[1], events[4]])  # too late for the one, in time for the other
    assert (await count(bench, "o"), await parked(bench)) == (4, [])


async def test_what_waits_behind_a_dead_letter_is_no_gap(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o", "poison"), confirmed("o"))
    await deadletters.note_gaps(bench.database, patience_s=0)
    assert [letter["source"] for letter in await letters(bench)] == ["event"]


# ── Streams of one's own that Kafka will not take ─────────────────────────────────────────────────────────────────────


async def halted_stream(bench: Bench) -> dict[str, Any]:
    async with bench.client as client:
        for _ in range(3):
            await client.post("/v1/additions", json={"name": "a", "units": 1})
    row = await bench.database.fetchrow("SELECT * FROM outbox WHERE sequence = 2")
    assert row is not None
    await deadletters.halt_stream(dict(row), ValueError("too large"), bench.database)
    (letter,) = await letters(bench)
    return letter


async def is_halted(database: Database) -> bool:
    return await database.fetchval("SELECT halted FROM stream_head")


async def test_a_stream_that_kafka_will_not_take_is_listed_and_can_be_released(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    letter = await halted_stream(bench)
    assert (letter["source"], letter["sequence"], letter["waiting"], letter["first_waiting"]) == ("stream", 2, 1, 3)
    assert "too large" in letter["error"]
    assert await is_halted(bench.database)
    await deadletters.redrive(bench.database, letter["id"], MARIA)
    assert not await is_halted(bench.database)


async def test_an_event_that_is_given_up_is_replaced_so_that_no_consumer_waits_for_its_sequence(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    letter = await halted_stream(bench)
    await deadletters.park(bench.database, letter["id"], MARIA)
    rows = await bench.database.fetch("SELECT sequence, type, payload, published_at FROM outbox ORDER BY id")
    assert [(row["sequence"], row["type"] == SKIPPED, row["published_at"]) for row in rows] == [
        (1, False, None),
        (2, True, None),
        (3, False, None),
    ]
    assert rows[1]["payload"] == "{}"
    assert not await is_halted(bench.database)
    kept = await deadletters.found(bench.database, letter["id"])
    assert "return_id" in kept["payload"]


async def test_a_state_that_is_given_up_is_not_replaced_in_the_compacted_topic(service_bench: BenchFactory) -> None:
    from shared.effects import Moment
    from shared.messaging import outbox

    bench = await service_bench(SERVICE)
    now = datetime.now(UTC)
    moment = Moment(decided_at=now, occurred_at=now, message_id="cmd_test", store_id="str_demo")
    async with bench.database.transaction() as connection:
        await outbox.write(outbox.collect([([ProductWithdrawn(sku="mug", version=1)], moment)]), connection)
    row = await bench.database.fetchrow("SELECT * FROM outbox")
    assert row is not None
    await deadletters.halt_stream(dict(row), ValueError("too large"), bench.database)
    (letter,) = await letters(bench)
    await deadletters.park(bench.database, letter["id"], MARIA)
    assert await bench.database.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 0
    assert not await is_halted(bench.database)


async def test_an_event_that_kafka_would_not_take_is_refused_when_it_is_written(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await service_bench(SERVICE)
    told = till.told

    def verbose(name: str, now: Any) -> Any:
        event = told(name, now)
        return replace(event, lines=tuple(replace(event.lines[0], reason="x" * 100_000) for _ in range(10)))

    monkeypatch.setattr(till, "told", verbose)
    async with bench.client as client:
        answer = await client.post("/v1/additions", json={"name": "a", "units": 1})
    assert (answer.status_code, answer.json()["code"]) == (413, "event.too_large")
    await bench.deliver(confirmed("o"))
    (letter,) = await letters(bench)
    assert (letter["source"], letter["key"]) == ("event", "o")
    assert "event.too_large" in letter["error"]
    assert await bench.published() == []


async def test_a_call_is_kept_while_its_letter_is_open(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    for number in range(2):
        await bench.database.execute(
            "INSERT INTO outside_call (id, kind, key, request, context, next_at, done_at)"
            " VALUES ($1, 'till.ring', 'o', '{}', '{}', now(), now() - interval '8 days')",
            f"cal_{number}",
        )
    async with bench.database.transaction() as connection:
        await deadletters.bury(
            connection,
            source="call",
            consumer="",
            topic="till.ring",
            key="cal_1",
            sequence=0,
            headers={},
            payload="",
            error="a bug",
            attempts=3,
        )
    await runtime.forget(bench.database)
    assert [row["id"] for row in await bench.database.fetch("SELECT id FROM outside_call")] == ["cal_1"]


# ── What is written down and measured ─────────────────────────────────────────────────────────────────────────────────


async def test_the_book_of_actions_can_be_added_to_and_never_changed(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o", "poison"))
    (letter,) = await letters(bench)
    await deadletters.park(bench.database, letter["id"], MARIA)
    for change in (
        "UPDATE operator_action SET operator = 'nobody'",
        "DELETE FROM operator_action",
        "TRUNCATE operator_action",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await bench.database.execute(change)
    (action,) = await deadletters.actions(bench.database)
    told = {name: action[name] for name in ("actor", "operator", "action", "subject", "reason", "outcome")}
    assert told == {
        "actor": "sk_op_123456",
        "operator": "maria",
        "action": "dead_letter.park",
        "subject": letter["id"],
        "reason": "the cause is gone",
        "outcome": "done",
    }


async def test_the_metrics_tell_how_many_are_open_by_source_and_how_old_the_oldest_is(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o1", "poison"), confirmed("o2", "poison"))
    await bench.database.execute("UPDATE dead_letter SET failed_at = now() - interval '1 hour' WHERE key = 'o1'")
    await deadletters.measure(bench.database)
    assert {source: metric(source) for source in deadletters.SOURCES} == {
        "event": 2,
        "record": 0,
        "gap": 0,
        "deadline": 0,
        "call": 0,
        "stream": 0,
    }
    assert telemetry.DEAD_LETTER_AGE._value.get() == pytest.approx(3600, abs=60)
    for letter in await letters(bench):
        await deadletters.park(bench.database, letter["id"], MARIA)
    await deadletters.measure(bench.database)
    assert (metric("event"), telemetry.DEAD_LETTER_AGE._value.get()) == (0, 0)


def metric(source: str) -> float:
    return telemetry.DEAD_LETTERS.labels(source)._value.get()
