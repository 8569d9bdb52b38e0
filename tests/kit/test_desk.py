"""The shell around every write: batches, poison, twins, replicas, lost connections."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from shared.contracts.orders import OrderCancelled, OrderConfirmed
from shared.contracts.registry import Event
from shared.contracts.values import Allocation
from shared.database import Stale
from shared.effects import Call
from shared.ids import new_id
from shared.messaging import deadletters
from shared.messaging.codec import Envelope
from shared.messaging.deadletters import Act
from shared.messaging.workers import call_loops
from tests.fixtures.bench import Bench, BenchFactory
from tests.kit.till import main as till
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration


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


async def counts(bench: Bench) -> dict[str, int]:
    return {row["name"]: row["units"] for row in await bench.database.fetch("SELECT name, units FROM till")}


def counted() -> float:
    return REGISTRY.get_sample_value("till_names_counted_total") or 0.0


async def add(client: httpx.AsyncClient, name: str, units: int, key: str | None = None) -> httpx.Response:
    headers = {"idempotency-key": key} if key else None
    return await client.post("/v1/additions", json={"name": name, "units": units}, headers=headers)


async def test_a_command_is_answered_and_its_repetition_replayed(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    async with bench.client as client:
        first = await add(client, "a", 2, "k1")
        again = await add(client, "a", 2, "k1")
        other = await add(client, "a", 3, "k1")
    assert (first.status_code, first.json()) == (201, {"name": "a", "count": 2})
    assert "idempotent-replayed" not in first.headers
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (201, first.content, "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    assert await counts(bench) == {"a": 2}


async def test_a_refusal_changes_nothing_and_is_replayed_too(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    async with bench.client as client:
        refused = await add(client, "a", -1, "k1")
        again = await add(client, "a", -1, "k1")
    assert (refused.status_code, refused.json()["code"], refused.json()["clears_with"]) == (
        409,
        "till.short",
        "more units",
    )
    assert again.content == refused.content
    assert await bench.published() == []


async def test_fifty_twins_at_two_replicas_have_one_effect(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    replica = await bench.replica()
    async with bench.client as one, replica.client as two:
        answers = await asyncio.gather(*(add(client, "a", 1, "twin") for _ in range(25) for client in (one, two)))
    assert {answer.content for answer in answers} == {b'{"name":"a","count":1}'}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert await counts(bench) == {"a": 1}


async def test_the_key_of_one_store_is_not_anothers(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    async with bench.client as one, bench.client_of("str_other") as other:
        await add(one, "a", 1, "same")
        answer = await add(other, "a", 5, "same")
    assert answer.json() == {"name": "a", "count": 6}


async def test_a_poisonous_command_fails_alone(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    async with bench.client as client:
        answers = await asyncio.gather(*(add(client, "poison" if n == 7 else f"n{n}", 1) for n in range(20)))
    assert [answer.status_code for answer in answers] == [500 if n == 7 else 201 for n in range(20)]
    assert answers[7].json()["code"] == "internal"
    assert len(await counts(bench)) == 19


async def test_a_poisonous_event_halts_its_key_only(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o1"), confirmed("o2", "poison"), confirmed("o3"), cancelled("o2"), cancelled("o1"))
    assert await counts(bench) == {"o1": 2, "o3": 1}
    (letter,) = await deadletters.listed(bench.database)
    assert (letter["key"], letter["sequence"]) == ("o2", 1)
    assert "a bug in a use case" in letter["error"]
    assert await bench.released() == 0  # halted: what waits behind it is not let through


async def test_a_redriven_event_comes_before_what_waited_behind_it(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o", "poison"), cancelled("o"), confirmed("o"))
    till.BROKEN.clear()
    (letter,) = await deadletters.listed(bench.database)
    await deadletters.redrive(bench.database, letter["id"], Act(actor="test"))
    await bench.released()
    assert await counts(bench) == {"o": 3}  # counted, doubled, counted: 1, 2, 3
    assert await bench.database.fetchval("SELECT count(*) FROM parked_message") == 0
    assert await deadletters.listed(bench.database) == []


async def test_a_parked_event_lets_its_key_go_on_without_it(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o", "poison"), confirmed("o"))
    (letter,) = await deadletters.listed(bench.database)
    await deadletters.park(bench.database, letter["id"], Act(actor="test", reason="sent by a broken release"))
    await bench.released()
    assert await counts(bench) == {"o": 1}
    assert (await deadletters.listed(bench.database, state="parked"))[0]["note"] == "sent by a broken release"


async def test_poison_that_was_parked_does_not_condemn_the_event_that_released_it(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    first, second = bench.envelope(confirmed("o")), bench.envelope(confirmed("o", "poison"))
    await bench.settle([second])
    await bench.settle([first])
    await bench.released()
    assert await counts(bench) == {"o": 1}
    (letter,) = await deadletters.listed(bench.database)
    assert letter["sequence"] == 2


async def test_data_that_does_not_fit_its_contract_is_set_aside_with_the_reason(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    good = bench.envelope(confirmed("o1"))
    bad = bench.envelope(confirmed("o2"))
    torn = Envelope(bad.topic, bad.key, bad.sequence, bad.attributes, b'{"order_id": 7')
    await bench.settle([torn, good])
    (letter,) = await deadletters.listed(bench.database)
    assert letter["key"] == "o2"
    assert "does not fit its contract" in letter["error"]
    assert await counts(bench) == {"o1": 1}


async def test_an_event_of_an_unknown_type_passes_without_effect(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    known = bench.envelope(confirmed("o"))
    newer = Envelope(known.topic, "o", 1, {**known.attributes, "ce_type": "orders.order.gift_wrapped.v1"}, b"{}")
    follower = bench.envelope(confirmed("o"))
    await bench.settle([newer, follower])
    assert await counts(bench) == {"o": 1}


@pytest.mark.parametrize("seed", range(8))
async def test_any_batching_shuffle_and_repetition_ends_in_the_same_state(
    service_bench: BenchFactory, seed: int
) -> None:
    random_ = random.Random(seed)
    orders = [f"o{n}" for n in range(6)]
    story: list[Event] = [random_.choice([confirmed, cancelled])(random_.choice(orders)) for _ in range(60)]

    straight = await service_bench(SERVICE)
    for event in story:
        await straight.deliver(event)

    shuffled = await service_bench(SERVICE)
    log = [shuffled.envelope(event) for event in story]
    log += random_.sample(log, 20)
    random_.shuffle(log)
    replicas = [shuffled, await shuffled.replica()]
    while log:
        size = random_.randint(1, 15)
        batch, log = log[:size], log[size:]
        both = (
            [replica.settle(batch) for replica in replicas] if random_.random() < 0.3 else [replicas[0].settle(batch)]
        )
        await asyncio.gather(*both)

    assert await counts(shuffled) == await counts(straight)
    assert await keys_of_published(shuffled) == await keys_of_published(straight)
    assert await shuffled.database.fetchval("SELECT count(*) FROM parked_message") == 0


async def keys_of_published(bench: Bench) -> list[tuple[str, int]]:
    rows = await bench.database.fetch("SELECT key, sequence FROM outbox ORDER BY key, sequence")
    return [(row["key"], row["sequence"]) for row in rows]


async def test_sequences_stay_gapless_and_ids_rise_with_them_while_two_replicas_write(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    replica = await bench.replica()
    names = [f"n{n}" for n in range(5)]
    async with bench.client as one, replica.client as two:
        answers = await asyncio.gather(
            *(add(client, name, 1) for _ in range(20) for name in names for client in (one, two))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert await counts(bench) == dict.fromkeys(names, 40)
    for name in names:
        rows = await bench.database.fetch("SELECT sequence FROM outbox WHERE key = $1 ORDER BY id", name)
        assert [row["sequence"] for row in rows] == list(range(1, 41))


async def test_a_cut_connection_in_mid_batch_is_retried_and_nothing_is_done_twice(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await service_bench(SERVICE)
    cuts = 0
    save = bench.kit.desk.save

    async def cut(state: Any, connection: Any) -> None:
        nonlocal cuts
        await save(state, connection)
        if cuts < 3:
            cuts += 1
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(bench.kit.desk, "save", cut)
    await bench.deliver(confirmed("o"), confirmed("o"))
    async with bench.client as client:
        answer = await add(client, "a", 1)
    assert cuts == 3
    assert answer.status_code == 201
    assert await counts(bench) == {"o": 2, "a": 1}


async def test_a_transaction_that_is_run_again_counts_once(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await service_bench(SERVICE)
    save, runs = bench.kit.desk.save, 0

    async def beaten_twice(state: Any, connection: Any) -> None:
        nonlocal runs
        await save(state, connection)
        runs += 1
        if runs < 3:
            raise Stale("another replica was faster")

    monkeypatch.setattr(bench.kit.desk, "save", beaten_twice)
    before = counted()
    await bench.deliver(confirmed("o1"), confirmed("o2"))
    assert runs == 3
    assert counted() - before == 2


async def test_what_is_set_aside_counts_nothing_and_a_batch_that_is_split_counts_each_part_once(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    before = counted()
    await bench.deliver(confirmed("o1"), confirmed("o2", "poison"), confirmed("o3"))
    assert await counts(bench) == {"o1": 1, "o3": 1}
    assert counted() - before == 2


async def test_a_counter_with_a_bug_stops_no_sale(service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await service_bench(SERVICE)

    def stumble(_: object) -> None:
        raise ValueError("a bug in a metric")

    monkeypatch.setattr(bench.kit.desk, "count", stumble)
    async with bench.client as client:
        answer = await add(client, "a", 1)
    assert answer.status_code == 201
    assert await counts(bench) == {"a": 1}


async def test_a_full_queue_says_so_and_does_nothing(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE, queue_capacity=3)
    async with bench.client as client:
        answers = await asyncio.gather(*(add(client, "a", 1) for _ in range(40)))
    busy = [answer for answer in answers if answer.status_code == 503]
    assert busy
    assert {(answer.json()["code"], answer.headers["retry-after"], answer.json()["retryable"]) for answer in busy} == {
        ("service.busy", "1", True)
    }
    assert await counts(bench) == {"a": 40 - len(busy)}


async def test_a_deadline_comes_once_and_the_call_it_makes_is_answered_once(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o1"), confirmed("o2"))
    assert await bench.overdue() == 0
    assert await bench.due() == 2
    asked: list[str] = []

    async def ring(call: Call) -> dict[str, Any] | None:
        asked.append(call.id)
        return {"ok": True} if len(asked) > 2 else None

    assert await bench.calls({"till.ring": ring}) == 4
    assert len(set(asked)) == 4  # two unknown outcomes, each asked again under another id
    assert await counts(bench) == {"o1": 1, "o2": 1, "closed": 2, "rung": 2}
    assert await bench.due() == 0


async def test_a_gateway_with_a_bug_loses_no_call(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.deliver(confirmed("o"))
    await bench.due()

    async def stumble(call: Call) -> dict[str, Any] | None:
        raise KeyError(call.key)

    async def ring(call: Call) -> dict[str, Any] | None:
        return {"ok": True}

    assert await bench.calls({"till.ring": stumble}) == 1
    await bench.database.execute("UPDATE outside_call SET next_at = now()")
    assert await bench.calls({"till.ring": ring}) == 1
    assert (await counts(bench))["rung"] == 1


async def test_a_call_that_hangs_holds_up_no_other(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    hanging, over = asyncio.Event(), asyncio.Event()

    async def ring(call: Call) -> dict[str, Any] | None:
        if call.key == "slow":
            hanging.set()
            await over.wait()
        return {"ok": True}

    loops = [
        asyncio.create_task(loop)
        for loop in call_loops(bench.kit.desk, {"till.ring": ring}, bench.kit.committed.event()).values()
    ]
    try:
        await bench.deliver(confirmed("slow"))
        await bench.due()
        async with asyncio.timeout(10):
            await hanging.wait()
            await bench.deliver(confirmed("quick"))
            await bench.due()
            while (await counts(bench)).get("rung") != 1:  # noqa: ASYNC110 (the fact is in the database)
                await asyncio.sleep(0.02)
            over.set()
            while (await counts(bench)).get("rung") != 2:  # noqa: ASYNC110 (the fact is in the database)
                await asyncio.sleep(0.02)
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)


async def test_the_same_answer_brought_by_two_replicas_counts_once(service_bench: BenchFactory) -> None:
    from shared.messaging.sources import AnswerBatch, CallAnswer

    bench = await service_bench(SERVICE)
    replica = await bench.replica()
    await bench.deliver(confirmed("o"))
    await bench.due()
    row = await bench.database.fetchrow("SELECT id, kind, key, request, context FROM outside_call")
    assert row is not None
    answer = CallAnswer(**dict(row), attempts=1, answer={"ok": True})
    await asyncio.gather(*(b.kit.desk.settle(AnswerBatch([answer])) for b in (bench, replica) for _ in range(3)))
    assert (await counts(bench))["rung"] == 1


async def test_events_carry_their_cause_their_store_and_the_request_they_began_with(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    envelope = bench.envelope(confirmed("o"), store="str_x", market="JP")
    await bench.settle([envelope])
    headers = await bench.database.fetchval("SELECT headers FROM outbox")
    assert headers == {
        "store": "str_x",
        "market": "JP",
        "correlation": "req_test",
        "causation": envelope.attributes["ce_id"],
    }
    assert new_id("evt") > envelope.attributes["ce_id"]
