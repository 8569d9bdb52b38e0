"""Webhooks on their way: told with the event, tried over days, never twice at once, never held up by who does not answer."""

import asyncio
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from standardwebhooks import Webhook

from services.orders.domain.webhook import GIVE_UP_AFTER, MOST_TRIES, REST_AFTER_FAILURES
from services.orders.main import SERVICE
from services.orders.webhook_metrics import measure_webhooks
from services.orders.webhook_worker import AT_ONCE_EACH, clean, send_webhooks, sweep
from shared.contracts.orders import OrderPlaced, PaymentRequested
from shared.outbound import Rules
from tests.builders import orders as build
from tests.fixtures.bench import OTHER_STORE, STORE, Bench, BenchFactory
from tests.fixtures.receiver import LOOPBACK, Heard, plain, receiving, silence
from tests.integration.orders.conftest import HASH_KEY
from tests.integration.orders.webhooks import call, deliveries, details, endpoint, hasten, order, rounds, tell

pytestmark = pytest.mark.integration


@pytest.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    bench = await service_bench(SERVICE, pii_hash_key=HASH_KEY, orders_webhooks_allow_local=True)
    await bench.deliver(build.a_product("MUG"), build.a_product("TEA"))
    return bench


async def all_pending(bench: Bench, count: int) -> None:
    """Many deliveries that are due, without the events."""
    await bench.database.execute(
        "INSERT INTO webhook_delivery SELECT 'whd_' || n, d.endpoint_id, d.store_id, d.event_id, d.event_type, d.order_id, 'pending',"
        " 0, 0, now(), NULL, NULL, '', now(), NULL FROM (SELECT * FROM webhook_delivery LIMIT 1) d, generate_series(1, $1) n",
        count,
    )


# ── What is told ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_event_is_told_with_a_signature_that_the_public_library_believes(bench: Bench) -> None:
    async with receiving() as receiver:
        made = await endpoint(bench, receiver)
        order_id = await order(bench)
        assert await tell(bench) == 1
        (heard,) = receiver.heard
    body = Webhook(made["secret"]).verify(heard.body, heard.headers)
    event = await bench.database.fetchrow("SELECT * FROM timeline_event WHERE order_id = $1", order_id)
    assert event is not None
    assert (body["id"], body["type"], body["source"], body["subject"], body["sequence"]) == (
        event["event_id"],
        "risk.assessment.approved.v1",
        "risk.assessment.v1",
        order_id,
        1,
    )
    assert datetime.fromisoformat(body["timestamp"]) == event["at"]
    assert body["data"]["order_id"] == order_id
    assert (heard.method, heard.path, heard.headers["content-type"]) == ("POST", "/hook", "application/json")
    (delivered,) = await deliveries(bench)
    assert (delivered["id"], delivered["status"], delivered["attempts"]) == (
        heard.headers["webhook-id"],
        "delivered",
        1,
    )
    assert await tell(bench) == 0


async def test_an_endpoint_hears_what_it_asked_for_of_its_own_stores_orders_and_nothing_else(bench: Bench) -> None:
    await bench.deliver(build.a_product("MUG", version=2), store=OTHER_STORE)
    async with receiving() as receiver:
        exact = await endpoint(bench, receiver, "payments.payment.captured.v1", path="/exact")
        area = await endpoint(bench, receiver, "payments.*", "risk.assessment.*", path="/area")
        await endpoint(bench, receiver, "support.*", path="/nothing")
        await endpoint(bench, receiver, "*", store=OTHER_STORE, path="/other")
        order_id = await order(bench)
        await bench.deliver(build.authorised(order_id), build.captured(order_id), build.cleared(order_id))
        await tell(bench)
        heard = sorted(
            (each.path, Webhook(_secret(each.path, exact, area)).verify(each.body, each.headers)["type"])
            for each in receiver.heard
        )
    assert heard == [
        ("/area", "payments.payment.authorised.v1"),
        ("/area", "payments.payment.captured.v1"),
        ("/area", "risk.assessment.approved.v1"),
        ("/exact", "payments.payment.captured.v1"),
    ]
    ids = [each.headers["webhook-id"] for each in receiver.heard]
    assert len(set(ids)) == len(ids)  # an event that two endpoints hear has an id for each


def _secret(path: str, exact: dict[str, Any], area: dict[str, Any]) -> str:
    return (exact if path == "/exact" else area)["secret"]


async def test_no_personal_data_no_token_and_no_hash_is_told(bench: Bench) -> None:
    async with receiving() as receiver:
        await endpoint(bench, receiver)
        order_id = await order(bench)
        (placed,) = await bench.published(OrderPlaced)
        await bench.deliver(placed, build.reserved(order_id), build.cleared(order_id))
        (asked,) = await bench.published(PaymentRequested)
        await bench.deliver(asked)
        await tell(bench)
        told = b" ".join(each.body for each in receiver.heard).decode()
        kinds = {each.body.split(b'"type":"')[1].split(b'"')[0].decode() for each in receiver.heard}
    assert {placed.event_type, asked.event_type} <= kinds
    recipient = await bench.database.fetchrow("SELECT * FROM recipient WHERE order_id = $1", order_id)
    assert recipient is not None
    private = [recipient[name] for name in ("name", "email", "phone", "line1", "city", "postcode") if recipient[name]]
    hashes = [value for value in vars_of(placed.signals) if isinstance(value, str) and len(value) > 8]
    assert len(private) >= 4
    assert hashes
    for secret in (*private, *hashes, "tok_ok", "signals", "card_fingerprint"):
        assert secret not in told, secret


def vars_of(value: Any) -> list[Any]:
    return [getattr(value, name) for name in value.__dataclass_fields__]


async def test_an_event_that_comes_twice_is_told_once(bench: Bench) -> None:
    async with receiving() as receiver:
        await endpoint(bench, receiver)
        order_id = await order(bench)
        envelopes = [bench.envelope(build.authorised(order_id)), bench.envelope(build.captured(order_id))]
        await bench.settle([*reversed(envelopes), *envelopes])
        await bench.settle(envelopes)
        assert await tell(bench) == 3
    assert len({each.headers["webhook-id"] for each in receiver.heard}) == 3


async def test_what_happened_before_an_endpoint_was_there_is_not_told(bench: Bench) -> None:
    await order(bench)
    assert await bench.database.fetchval("SELECT count(*) FROM webhook_delivery") == 0
    async with receiving() as receiver:
        await endpoint(bench, receiver)
        assert await tell(bench) == 0


async def test_an_event_that_cannot_be_decided_leaves_no_delivery_behind(bench: Bench) -> None:
    async with receiving() as receiver:
        await endpoint(bench, receiver)
        await bench.deliver(build.approved("ord_that_never_was"))
        assert await tell(bench) == 0
    assert await bench.database.fetchval("SELECT count(*) FROM dead_letter") == 1
    assert await bench.database.fetchval("SELECT count(*) FROM timeline_event") == 0


# ── Trying again ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_failed_message_comes_again_with_its_id_and_its_bytes_until_it_is_taken(bench: Bench) -> None:
    async with receiving() as receiver:
        receiver.answers = [plain(500, b"oh"), plain(302, location="/elsewhere"), plain(404), plain(204)]
        made = await endpoint(bench, receiver)
        await order(bench)
        for _ in range(4):
            assert await tell(bench) == 1
            assert await tell(bench) == 0  # not before its time
            await hasten(bench)
        heard = list(receiver.heard)
    assert len({each.headers["webhook-id"] for each in heard}) == 1
    assert len({each.body for each in heard}) == 1
    assert {each.path for each in heard} == {"/hook"}
    for each in heard:
        Webhook(made["secret"]).verify(each.body, each.headers)
    (delivered,) = await deliveries(bench)
    seen = await details(bench, delivered["id"])
    assert [(a["number"], a["status"], a["error"], a["response"]) for a in seen["log"]] == [
        (1, 500, "status_5xx", "oh"),
        (2, 302, "redirect", ""),
        (3, 404, "status_4xx", ""),
        (4, 204, None, ""),
    ]
    assert seen["status"] == "delivered"


async def test_after_ten_tries_it_is_exhausted_and_seen_and_can_be_sent_again(bench: Bench) -> None:
    exhausted = REGISTRY.get_sample_value("freeport_webhook_deliveries_total", {"outcome": "exhausted"})
    async with receiving() as receiver:
        receiver.otherwise = plain(500)
        made = await endpoint(bench, receiver)
        await order(bench)
        for _ in range(MOST_TRIES):
            assert await tell(bench) == 1
            await hasten(bench)
        assert await tell(bench) == 0
        (delivery,) = await deliveries(bench, status="exhausted")
        assert (delivery["attempts"], delivery["next_attempt_at"]) == (MOST_TRIES, None)
        seen = (await call(bench, "GET", f"/webhook-endpoints/{made['id']}")).json()
        assert (seen["attention"]["code"], seen["failures"]) == ("webhook_endpoint.failing", MOST_TRIES)
        assert REGISTRY.get_sample_value("freeport_webhook_deliveries_total", {"outcome": "exhausted"}) == exhausted + 1  # pyright: ignore[reportOptionalOperand]
        receiver.otherwise = plain(200)
        answer = await call(bench, "POST", f"/webhook-deliveries/{delivery['id']}/resend")
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        assert await tell(bench) == 1  # a person asked: no rest and no schedule holds it up
    assert len({each.headers["webhook-id"] for each in receiver.heard}) == 1
    seen = await details(bench, delivery["id"])
    assert (seen["status"], [attempt["number"] for attempt in seen["log"]]) == ("delivered", list(range(1, 12)))
    assert (await call(bench, "GET", f"/webhook-endpoints/{made['id']}")).json()["attention"] is None


async def test_410_disables_and_what_was_missed_is_sent_after_it_is_mended(bench: Bench) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    async with receiving() as receiver:
        receiver.answers = [plain(410)]
        made = await endpoint(bench, receiver)
        path = f"/webhook-endpoints/{made['id']}"
        order_id = await order(bench)
        await tell(bench)
        await bench.deliver(build.authorised(order_id))  # after it was disabled
        assert await tell(bench) == 0
        seen = (await call(bench, "GET", path)).json()
        assert (seen["disabled_because"], seen["attention"]["code"]) == ("gone", "webhook_endpoint.gone")
        assert {each["status"] for each in await deliveries(bench)} == {"skipped"}
        assert (await call(bench, "PATCH", path, {"disabled": False})).status_code == 200
        assert await tell(bench) == 0  # enabling alone sends nothing of the past
        wish = {"since": began.isoformat()}
        assert (await call(bench, "POST", f"{path}/resend", wish)).json() == {"resent": 2, "next": None}
        assert (await call(bench, "POST", f"{path}/resend", wish)).json() == {"resent": 0, "next": None}
        assert await tell(bench) == 2
        later = {"since": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(), "statuses": ["delivered"]}
        assert (await call(bench, "POST", f"{path}/resend", later)).json()["resent"] == 0
    assert [each["status"] for each in await deliveries(bench)] == ["delivered"] * 2


async def test_a_large_resend_goes_on_where_it_ended(bench: Bench) -> None:
    async with receiving() as receiver:
        made = await endpoint(bench, receiver)
        await order(bench)
        await all_pending(bench, 1500)
        await bench.database.execute("UPDATE webhook_delivery SET status = 'delivered'")
        wish: dict[str, Any] = {"since": "2026-01-01T00:00:00Z", "statuses": ["delivered"]}
        first = (await call(bench, "POST", f"/webhook-endpoints/{made['id']}/resend", wish)).json()
        await bench.database.execute("UPDATE webhook_delivery SET status = 'delivered'")  # they arrive at once
        second = await call(bench, "POST", f"/webhook-endpoints/{made['id']}/resend", wish | {"after": first["next"]})
    assert (first["resent"], second.json()) == (1000, {"resent": 501, "next": None})


async def test_too_many_requests_is_heeded(bench: Bench) -> None:
    async with receiving() as receiver:
        receiver.answers = [plain(429, retry_after="3600")]
        made = await endpoint(bench, receiver)
        order_id = await order(bench)
        before = datetime.now(UTC)
        await tell(bench)
        (delivery,) = await deliveries(bench)
        wait = datetime.fromisoformat(delivery["next_attempt_at"]) - before
        assert timedelta(minutes=59) < wait < timedelta(minutes=61)
        await bench.deliver(build.authorised(order_id))
        assert await tell(bench) == 0  # the others wait as well
        await hasten(bench)
        assert await tell(bench) == 2
    assert (await call(bench, "GET", f"/webhook-endpoints/{made['id']}")).json()["failures"] == 0


async def test_after_a_rotation_both_secrets_verify_and_a_day_later_only_the_new_one(bench: Bench) -> None:
    async with receiving() as receiver:
        made = await endpoint(bench, receiver)
        path = f"/webhook-endpoints/{made['id']}"
        rotated = (await call(bench, "POST", f"{path}/secret:rotate")).json()
        assert rotated["secret"] != made["secret"]
        await call(bench, "POST", f"{path}/test")
        await tell(bench)
        await bench.database.execute("UPDATE webhook_endpoint SET previous_secret_until = now()")
        await call(bench, "POST", f"{path}/test")
        await tell(bench)
        both, new = receiver.heard
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(both.body, both.headers)
    Webhook(rotated["secret"]).verify(new.body, new.headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(made["secret"]).verify(new.body, new.headers)


async def test_five_days_of_failures_disable_and_a_person_is_told(bench: Bench) -> None:
    async with receiving() as receiver:
        receiver.otherwise = plain(500)
        made = await endpoint(bench, receiver)
        await order(bench)
        await bench.database.execute(
            "UPDATE webhook_endpoint SET failures = $1, failing_since = now() - $2::interval",
            REST_AFTER_FAILURES,
            GIVE_UP_AFTER,
        )
        await tell(bench)
    seen = (await call(bench, "GET", f"/webhook-endpoints/{made['id']}")).json()
    assert (seen["disabled_because"], seen["attention"]["code"]) == ("failing", "webhook_endpoint.gave_up")
    await measure_webhooks(bench.database)
    assert REGISTRY.get_sample_value("freeport_webhook_endpoints", {"state": "failing"}) == 1
    assert REGISTRY.get_sample_value("freeport_webhook_endpoints", {"state": "enabled"}) == 0


# ── Who may be told ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.215.14", LOOPBACK], ["64:ff9b::a9fe:a9fe"]])
async def test_a_host_that_leads_inside_is_never_connected_to(
    service_bench: BenchFactory, addresses: list[str]
) -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        return addresses

    bench = await service_bench(SERVICE, pii_hash_key=HASH_KEY)
    await bench.deliver(build.a_product("MUG"), build.a_product("TEA"))
    made = await endpoint(bench, "https://rebinding.example.com/")
    await order(bench)
    assert await tell(bench, Rules(), resolve=resolve) == 1
    (delivery,) = await deliveries(bench)
    seen = await details(bench, delivery["id"])
    assert (seen["status"], seen["last_error"], seen["log"][0]["status"]) == ("pending", "address_forbidden", None)
    assert addresses[-1] not in str(seen)
    assert made["id"] == seen["endpoint_id"]


async def test_an_endpoint_of_the_demo_is_not_told_where_this_machine_is_forbidden(bench: Bench) -> None:
    async with receiving() as receiver:
        await endpoint(bench, receiver)
        await order(bench)
        await tell(bench, Rules())
    assert receiver.connections == 0
    assert [each["last_error"] for each in await deliveries(bench)] == ["url_forbidden"]


# ── Many at once, and crashes ─────────────────────────────────────────────────────────────────────────────────────────


async def test_who_does_not_answer_holds_up_nobody_and_gets_no_more_than_a_few_at_once(bench: Bench) -> None:
    async with receiving() as dead, receiving() as well:
        dead.otherwise = silence
        await endpoint(bench, dead)
        order_id = await order(bench)
        await all_pending(bench, 400)
        await endpoint(bench, well, "payments.*")
        worker = asyncio.create_task(send_webhooks(bench.kit))
        await dead.until(AT_ONCE_EACH)
        for event in (build.authorised(order_id), build.captured(order_id)):
            await bench.deliver(event)
        heard = await well.until(2, within_s=10)
        assert len(heard) == 2
        assert dead.most_at_once == AT_ONCE_EACH
        assert len(await deliveries(bench)) > 0  # nor is the API held up
        worker.cancel()
        _, late = await asyncio.wait(
            [worker], timeout=0.15 * bench.kit.settings.shutdown_s
        )  # as long as the runtime waits
        assert not late
    # What was under way is given back: nothing waits for a lease, and no try is lost.
    row = await bench.database.fetchrow(
        "SELECT count(*) FILTER (WHERE claimed_until IS NOT NULL) AS claimed, max(tries) AS tries, max(attempts) AS attempts"
        " FROM webhook_delivery WHERE status = 'pending'"
    )
    assert row is not None
    assert tuple(row) == (0, 0, 0)


async def test_an_endpoint_that_fails_rests_and_is_then_asked_with_one_message(bench: Bench) -> None:
    async with receiving() as receiver:
        receiver.otherwise = plain(500)
        await endpoint(bench, receiver)
        await order(bench)
        await all_pending(bench, 30)
        assert await tell(bench) == AT_ONCE_EACH  # and no more, for it rests
        await bench.database.execute("UPDATE webhook_endpoint SET resting_until = NULL")
        async with rounds(bench) as round_:
            assert len(await round_.claim(100)) == 1
            assert len(await round_.claim(100)) == 0
        await hasten(bench)
        await bench.database.execute("UPDATE webhook_delivery SET claimed_until = NULL")
        receiver.otherwise = plain(200)
        assert await tell(bench) == 31  # one success, and the others follow


async def test_replicas_never_send_the_same_try(bench: Bench) -> None:
    replica = await bench.replica()
    async with receiving() as receiver:
        for n in range(12):
            await endpoint(bench, receiver, path=f"/{n}")
        await order(bench)
        async with rounds(bench) as one, rounds(replica) as two:
            claims = await asyncio.gather(*(each.claim(5) for each in (one, two) * 4))
        claimed = [letter.delivery_id for letters in claims for letter in letters]
        assert len(claimed) == len(set(claimed)) == 12


async def test_replicas_together_send_an_endpoint_no_more_than_a_few_at_once(bench: Bench) -> None:
    replica = await bench.replica()
    await endpoint(bench, f"http://{LOOPBACK}:9/")
    await order(bench)
    await all_pending(bench, 400)
    async with rounds(bench) as one, rounds(replica) as two:
        claims = await asyncio.gather(*(each.claim(400) for each in (one, two) * 4))
    assert sum(map(len, claims)) == AT_ONCE_EACH


async def test_those_that_have_waited_longest_are_told_first(bench: Bench) -> None:
    ids = [(await endpoint(bench, f"http://{LOOPBACK}:9/{n}"))["id"] for n in range(6)]
    await order(bench)
    for minutes, which in enumerate(ids[::-1]):
        await bench.database.execute(
            "UPDATE webhook_delivery SET next_at = now() - make_interval(mins => $2) WHERE endpoint_id = $1",
            which,
            60 - minutes,
        )
    async with rounds(bench) as round_:
        assert {letter.endpoint_id for letter in await round_.claim(2)} == set(ids[4:])


async def test_a_worker_that_dies_between_sending_and_marking_sends_again_under_the_same_id(bench: Bench) -> None:
    async with receiving() as receiver:
        await endpoint(bench, receiver)
        await order(bench)
        script = textwrap.dedent(
            f"""
            import asyncio
            from services.orders.main import SERVICE
            from services.orders.webhook_worker import send_webhooks
            from shared.runtime import build
            async def main():
                settings = SERVICE.settings(
                    database_url={bench.place.app_url!r}, pii_hash_key={HASH_KEY!r}, orders_webhooks_allow_local=True)
                await send_webhooks(await build(SERVICE, settings))
            asyncio.run(main())
            """
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, env={"FREEPORT_FAILPOINTS": "answers.uncommitted=kill", "PATH": ""}
        )
        assert await process.wait() == -9
        assert len(receiver.heard) == 1
        (left,) = await deliveries(bench)
        assert (left["status"], left["attempts"]) == ("pending", 1)
        assert await tell(bench) == 0  # its lease holds
        await bench.database.execute("UPDATE webhook_delivery SET claimed_until = now()")
        assert await tell(bench) == 1
        first, second = receiver.heard
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert (await deliveries(bench))[0]["status"] == "delivered"


async def test_an_outcome_that_comes_while_others_are_settled_is_not_lost(bench: Bench) -> None:
    answering = asyncio.Event()

    async def late(_: Heard, writer: asyncio.StreamWriter) -> None:
        await answering.wait()
        writer.write(plain(200))
        await writer.drain()

    async with receiving() as slow, receiving() as quick:
        slow.otherwise = late
        await endpoint(bench, slow)
        await endpoint(bench, quick)
        await order(bench)
        async with rounds(bench) as round_:
            sends = [asyncio.create_task(round_.send(letter)) for letter in await round_.claim(2)]
            await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
            await slow.until(1)
            assert await round_.settle() == 1
            answering.set()
            await asyncio.gather(*sends)
            assert await round_.settle() == 1
    assert [each["status"] for each in await deliveries(bench)] == ["delivered"] * 2


async def test_an_outcome_that_is_settled_twice_counts_once(bench: Bench) -> None:
    async with receiving() as receiver:
        await endpoint(bench, receiver)
        await order(bench)
        async with rounds(bench) as round_:
            (letter,) = await round_.claim(1)
            await round_.send(letter)
            await round_.send(letter)
            assert await round_.settle() == 2
    (delivery,) = await deliveries(bench)
    assert (delivery["status"], len((await details(bench, delivery["id"]))["log"])) == ("delivered", 1)


# ── Keeping house ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_thirty_days_old_is_forgotten_with_its_tries(bench: Bench) -> None:
    async with receiving() as receiver:
        await endpoint(bench, receiver)
        order_id = await order(bench)
        await tell(bench)
        await all_pending(bench, 10_500)  # more than fits into two transactions
        await bench.database.execute("UPDATE webhook_delivery SET created_at = now() - interval '30 days 1 minute'")
        await clean(bench.database)
        await bench.deliver(build.authorised(order_id))
        await tell(bench)
        await clean(bench.database)
    (kept,) = await deliveries(bench)
    assert kept["event_type"] == "payments.payment.authorised.v1"
    assert await bench.database.fetchval("SELECT array_agg(delivery_id) FROM webhook_attempt") == [kept["id"]]


async def test_what_a_disabled_endpoint_was_to_be_told_is_skipped(bench: Bench) -> None:
    made = await endpoint(bench, f"http://{LOOPBACK}:9/")
    kept = await endpoint(bench, f"http://{LOOPBACK}:9/")
    order_id = await order(bench)
    await call(bench, "PATCH", f"/webhook-endpoints/{made['id']}", {"disabled": True})
    await bench.deliver(build.authorised(order_id))
    await sweep(bench.database)
    assert {each["status"] for each in await deliveries(bench, endpoint=made["id"])} == {"skipped"}
    assert {each["status"] for each in await deliveries(bench, endpoint=kept["id"])} == {"pending"}


async def test_what_waits_is_measured_and_no_endpoint_is_a_label(bench: Bench) -> None:
    made = await endpoint(bench, f"http://{LOOPBACK}:9/")
    await order(bench)
    await bench.database.execute(
        "UPDATE webhook_delivery SET created_at = now() - interval '1 hour', next_at = now() - interval '1 minute'"
    )
    await measure_webhooks(bench.database)
    assert REGISTRY.get_sample_value("freeport_webhook_pending") == 1
    assert 3600 <= (REGISTRY.get_sample_value("freeport_webhook_oldest_pending_age_seconds") or 0) < 3700
    assert 60 <= (REGISTRY.get_sample_value("freeport_webhook_overdue_seconds") or 0) < 160
    await call(bench, "PATCH", f"/webhook-endpoints/{made['id']}", {"disabled": True})
    await measure_webhooks(bench.database)
    assert REGISTRY.get_sample_value("freeport_webhook_overdue_seconds") == 0
    async with bench.client as client:
        metrics = (await client.get("/metrics")).text
    assert "freeport_webhook_pending" in metrics
    assert made["id"] not in metrics
    assert STORE not in metrics
