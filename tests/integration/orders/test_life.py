"""The life of an order over a real database: facts, holds, cancellations, deadlines, the timeline."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from services.orders.metrics import measure
from services.orders.schemas import OrderOut
from services.orders.settings import patience
from shared.contracts.orders import (
    AnswerAwaited,
    HoldCleared,
    HoldPlaced,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    PaymentRequested,
)
from shared.http import encode_cursor
from shared.messaging.codec import Envelope
from tests.builders import orders as build
from tests.fixtures.bench import OTHER_STORE, Bench
from tests.integration.orders.webhooks import deliveries, endpoint

pytestmark = pytest.mark.integration


async def placed(bench: Bench, **changes: Any) -> str:
    async with bench.client as client:
        answer = await client.post("/v1/orders", json=build.order_json(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def confirmed(bench: Bench) -> str:
    order_id = await placed(bench)
    await bench.deliver(build.reserved(order_id), build.approved(order_id), build.cleared(order_id))
    await bench.deliver(build.authorised(order_id), build.committed(order_id))
    return order_id


async def seen(bench: Bench, order_id: str) -> OrderOut:
    async with bench.client as client:
        answer = await client.get(f"/v1/orders/{order_id}")
    assert answer.status_code == 200, answer.text
    return OrderOut.model_validate_json(answer.content)


async def cancel(bench: Bench, order_id: str, reason: str = "changed_mind") -> httpx.Response:
    async with bench.client as client:
        return await client.post(
            f"/v1/orders/{order_id}/cancellation", json={"reason": reason, "requested_by": "buyer"}
        )


async def test_an_order_goes_its_way_to_the_end(bench: Bench) -> None:
    order_id = await confirmed(bench)
    view = await seen(bench, order_id)
    assert (view.status, view.payment_status, view.fulfilment_status) == ("confirmed", "authorised", "unfulfilled")
    await bench.deliver(build.booked(order_id), build.dispatched(order_id), build.captured(order_id))
    await bench.deliver(build.consumed(order_id), build.tracked(order_id), build.delivered(order_id))
    view = await seen(bench, order_id)
    assert (view.status, view.payment_status, view.fulfilment_status) == ("completed", "captured", "delivered")
    await bench.deliver(build.refunded(order_id, amount=1_000))
    assert (await seen(bench, order_id)).payment_status == "partially_refunded"
    kinds = [type(event) for event in await bench.published()]
    assert kinds == [OrderPlaced, PaymentRequested, OrderConfirmed, OrderCompleted]


async def test_the_batches_in_which_facts_arrive_are_not_seen_in_the_result(bench: Bench) -> None:
    def facts(order_id: str) -> list[Any]:
        return [build.held(order_id), build.reserved(order_id), build.approved(order_id), build.cleared(order_id)]

    one_by_one, at_once, shuffled = [await placed(bench) for _ in range(3)]
    for fact in facts(one_by_one):
        await bench.deliver(fact)
    await bench.deliver(*facts(at_once))
    envelopes = [bench.envelope(fact) for fact in facts(shuffled)]
    await bench.settle([*reversed(envelopes), *envelopes])  # gaps and duplicates as well
    rows = await bench.database.fetch("SELECT id, status, payment_status, facts, held FROM orders ORDER BY id")
    assert len({(row["status"], row["payment_status"], str(row["facts"]), row["held"]) for row in rows}) == 1
    told = [
        (event.key, type(event).__name__) for event in await bench.published() if not isinstance(event, OrderPlaced)
    ]
    by_order = {
        order_id: sorted(name for key, name in told if key == order_id) for order_id in {row["id"] for row in rows}
    }
    assert set(map(tuple, by_order.values())) == {("HoldCleared", "HoldPlaced", "PaymentRequested")}


async def test_holds_come_with_their_reasons_and_clear_by_themselves(bench: Bench) -> None:
    order_id = await placed(bench)
    await bench.deliver(build.held(order_id))
    (hold,) = (await seen(bench, order_id)).holds
    assert (hold.code, hold.reasons[0].subject, hold.clears_with) == (
        "customs_papers",
        "MUG",
        ["an HS code in the catalog"],
    )
    await bench.deliver(build.cleared(order_id))
    assert (await seen(bench, order_id)).holds == []
    assert await bench.database.fetchval("SELECT count(*) FROM order_hold") == 0
    assert [type(event) for event in await bench.published(HoldPlaced, HoldCleared)] == [HoldPlaced, HoldCleared]


async def test_the_buyers_confirmation_is_a_hold_with_an_address(bench: Bench) -> None:
    order_id = await placed(bench)
    await bench.deliver(build.reserved(order_id), build.approved(order_id), build.cleared(order_id))
    await bench.deliver(build.action_required(order_id))
    view = await seen(bench, order_id)
    assert (view.payment_status, view.payment.action_url) == ("action_required", "https://provider.example/3ds/1")
    assert [hold.code for hold in view.holds] == ["payment_action"]
    await bench.deliver(build.authorised(order_id))
    view = await seen(bench, order_id)
    assert (view.status, view.payment.action_url, view.holds) == ("confirmed", None, [])


async def test_money_in_doubt_is_seen_on_the_order_in_lists_in_the_timeline_and_in_the_metrics(bench: Bench) -> None:
    order_id = await confirmed(bench)
    await bench.deliver(build.unknown(order_id, "authorise", "payment.promise_lost"))
    view = await seen(bench, order_id)
    assert [(hold.code, [reason.code for reason in hold.reasons]) for hold in view.holds] == [
        ("needs_attention", ["payment.promise_lost"])
    ]
    assert view.payment.doubt is not None
    assert (view.payment.doubt.code, view.payment_status) == ("payment.promise_lost", "authorised")
    async with bench.client as client:
        listed = (await client.get("/v1/orders", params={"hold": "needs_attention"})).json()["data"]
        told = (await client.get(f"/v1/orders/{order_id}/timeline")).json()["data"]
    assert [order["id"] for order in listed] == [order_id]
    assert "The payment needs a person: worth a look" in [event["summary"] for event in told]
    await measure(bench.database)
    assert REGISTRY.get_sample_value("freeport_orders_held", {"code": "needs_attention"}) == 1
    assert REGISTRY.get_sample_value("freeport_orders_attention", {"reason": "payment.promise_lost"}) == 1
    await bench.deliver(build.captured(order_id))
    view = await seen(bench, order_id)
    assert (view.holds, view.payment.doubt) == ([], None)
    await measure(bench.database)
    assert REGISTRY.get_sample_value("freeport_orders_attention", {"reason": "payment.promise_lost"}) == 0


async def test_an_attention_reason_that_nobody_knows_is_counted_as_other(bench: Bench) -> None:
    order_id = await confirmed(bench)
    await bench.deliver(build.unknown(order_id, "authorise", "payment.unheard_of"))
    await measure(bench.database)
    assert REGISTRY.get_sample_value("freeport_orders_attention", {"reason": "other"}) == 1


async def test_a_placed_order_is_cancelled_at_once(bench: Bench) -> None:
    order_id = await placed(bench)
    answer = await cancel(bench, order_id)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["cancellation"] == {
        "status": "granted",
        "reason": "changed_mind",
        "requested_by": "buyer",
        "refusal": None,
    }
    assert len(await bench.published(OrderCancelled)) == 1
    again = await cancel(bench, order_id)
    assert (again.status_code, again.json()["code"]) == (409, "order.ended")


async def test_a_confirmed_order_is_cancelled_by_a_handshake(bench: Bench) -> None:
    order_id = await confirmed(bench)
    answer = await cancel(bench, order_id)
    assert (answer.status_code, answer.json()["status"]) == (202, "confirmed")
    assert answer.json()["cancellation"]["status"] == "asked"
    assert (await cancel(bench, order_id)).json()["code"] == "order.cancellation_pending"
    assert len(await bench.published(OrderCancellationRequested)) == 1
    await bench.deliver(build.shipment_cancelled(order_id))
    view = await seen(bench, order_id)
    assert view.status == "cancelled"
    assert view.cancellation is not None
    assert view.cancellation.status == "granted"


async def test_too_late_is_told_and_the_order_goes_on(bench: Bench) -> None:
    order_id = await confirmed(bench)
    await cancel(bench, order_id)
    await bench.deliver(build.dispatched(order_id), build.cancellation_refused(order_id))
    view = await seen(bench, order_id)
    assert view.status == "confirmed"
    assert view.cancellation is not None
    assert view.cancellation.refusal is not None
    assert (view.cancellation.status, view.cancellation.refusal.code) == ("refused", "shipment.handed_over")
    answer = await cancel(bench, order_id)
    assert (answer.status_code, answer.json()["code"], answer.json()["clears_with"]) == (
        409,
        "order.dispatched",
        "a return",
    )


async def test_a_reason_is_a_code_because_it_is_published(bench: Bench) -> None:
    answer = await cancel(bench, await placed(bench), reason="Erika does not want it any more")
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


async def test_twins_of_a_cancellation_cancel_once(bench: Bench) -> None:
    order_id = await placed(bench)
    async with bench.client as client:
        body = {"reason": "changed_mind", "requested_by": "buyer"}
        answers = await asyncio.gather(
            *(
                client.post(f"/v1/orders/{order_id}/cancellation", json=body, headers={"idempotency-key": "c"})
                for _ in range(10)
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len(await bench.published(OrderCancelled)) == 1


async def test_cancelling_races_with_confirming_and_one_of_them_wins(bench: Bench) -> None:
    order_ids = [await placed(bench) for _ in range(10)]
    for event in (build.reserved, build.approved, build.cleared):
        await bench.deliver(*(event(order_id) for order_id in order_ids))
    await asyncio.gather(
        bench.deliver(*(build.authorised(order_id) for order_id in order_ids)),
        *(cancel(bench, order_id) for order_id in order_ids),
    )
    for order_id in order_ids:
        view = await seen(bench, order_id)
        told = [type(event) for event in await bench.published() if event.key == order_id]
        if OrderConfirmed in told:
            assert (view.status, OrderCancellationRequested in told) == ("confirmed", True)
        else:
            assert (view.status, OrderCancelled in told) == ("cancelled", True)


async def run_out_of_patience(bench: Bench, order_id: str) -> None:
    await bench.database.execute("UPDATE orders SET patient_until = now() - interval '1 second'")
    assert await bench.due("order.silence", order_id) == 1


async def test_a_deadline_that_comes_early_tells_nobody(bench: Bench) -> None:
    order_id = await placed(bench)
    await bench.deliver(build.reserved(order_id))
    assert await bench.due("order.silence", order_id) == 1
    view = await seen(bench, order_id)
    assert (view.holds, view.silence) == ([], None)


async def test_who_is_silent_is_asked_again_and_then_the_order_is_given_up(bench: Bench) -> None:
    def counted(stage: str) -> float:
        labels = {"matter": "agreement", "stage": stage}
        return REGISTRY.get_sample_value("freeport_orders_silences_total", labels) or 0.0

    before = {stage: counted(stage) for stage in ("asked", "given_up", "alarmed")}
    order_id = await placed(bench)
    await bench.deliver(build.reserved(order_id))
    await run_out_of_patience(bench, order_id)
    (announced,) = await bench.published(OrderPlaced)
    (asked,) = await bench.published(AnswerAwaited)
    assert (asked.whom, asked.placed) == (("logistics", "risk"), announced)
    view = await seen(bench, order_id)
    assert view.silence is not None
    assert (view.silence.matter, view.silence.whom, view.holds) == ("agreement", ["logistics", "risk"], [])
    assert view.silence.until is not None
    await run_out_of_patience(bench, order_id)
    view = await seen(bench, order_id)
    assert (view.status, view.silence) == ("rejected", None)
    assert [reason.code for reason in view.reasons] == ["logistics.silent", "risk.silent"]
    assert await bench.database.fetchval("SELECT count(*) FROM deadline WHERE kind = 'order.silence'") == 0
    assert {stage: counted(stage) - count for stage, count in before.items()} == {
        "asked": 1,
        "given_up": 1,
        "alarmed": 0,
    }


async def test_what_a_channel_has_sold_is_held_for_a_person_until_the_answers_come(bench: Bench) -> None:
    async with bench.client as client:
        (sold,) = (await client.post("/v1/orders:import", json={"orders": [build.import_json()]})).json()["data"]
    order_id = sold["id"]
    await bench.deliver(build.reserved(order_id))
    for _ in range(2):
        await run_out_of_patience(bench, order_id)
    view = await seen(bench, order_id)
    (hold,) = view.holds
    assert (hold.code, [reason.code for reason in hold.reasons]) == (
        "needs_attention",
        ["logistics.silent", "risk.silent"],
    )
    assert view.silence is not None
    assert view.silence.until is None
    await measure(bench.database)
    assert REGISTRY.get_sample_value("freeport_orders_attention", {"reason": "risk.silent"}) == 1
    await bench.deliver(build.approved(order_id), build.cleared(order_id))
    view = await seen(bench, order_id)
    assert (view.holds, view.payment_status, view.silence) == ([], "requested", None)


async def test_a_question_months_later_finds_how_the_order_was_announced_in_the_timeline(bench: Bench) -> None:
    order_id = await confirmed(bench)
    await bench.settle(await outbox(bench))
    (announced,) = await bench.published(OrderPlaced)
    await bench.database.execute("DELETE FROM outbox")
    await cancel(bench, order_id)
    await run_out_of_patience(bench, order_id)
    (asked,) = await bench.published(AnswerAwaited)
    assert (asked.matter, asked.placed) == ("cancellation", announced)
    assert asked.cancellation is not None


async def test_the_timeline_of_a_question_tells_no_token_and_no_hash(bench: Bench) -> None:
    order_id = await placed(bench)
    await bench.deliver(build.reserved(order_id), build.approved(order_id), build.cleared(order_id))
    await run_out_of_patience(bench, order_id)
    (asked,) = await bench.published(AnswerAwaited)
    assert asked.payment is not None
    assert (asked.payment.token, asked.placed.signals.card) == ("tok_ok", "fp_1")
    await bench.settle(await outbox(bench))
    async with bench.client as client:
        told = (await client.get(f"/v1/orders/{order_id}/timeline")).json()["data"]
    assert [event["summary"] for event in told if "answer_awaited" in event["type"]] == [
        "Asked again about the payment: payments"
    ]
    assert "tok_ok" not in str(told)
    assert "signals" not in str(told)
    assert "fp_1" not in str(told)


async def test_no_webhook_tells_what_services_ask_one_another(bench: Bench) -> None:
    await endpoint(bench, "https://shop.example.com/freeport", "*")
    order_id = await placed(bench)
    await run_out_of_patience(bench, order_id)
    await bench.settle(await outbox(bench))
    assert [delivery["event_type"] for delivery in await deliveries(bench)] == [OrderPlaced.event_type]


async def test_patience_is_read_from_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEPORT_ORDERS_ASK_AFTER_S", "0.001")
    monkeypatch.setenv("FREEPORT_ORDERS_GIVE_UP_AFTER_S", "0.001")
    patience.cache_clear()
    try:
        order_id = await placed(bench)
        for _ in range(2):
            await bench.database.fetchval("SELECT pg_sleep(0.002)")
            assert await bench.overdue() == 1
    finally:
        patience.cache_clear()
    assert (await seen(bench, order_id)).status == "rejected"


async def test_a_rejected_order_says_why_and_stays_so(bench: Bench) -> None:
    order_id = await placed(bench)
    await bench.deliver(build.prohibited(order_id), build.rejected(order_id), build.reserved(order_id))
    view = await seen(bench, order_id)
    assert (view.status, [reason.code for reason in view.reasons]) == ("rejected", ["goods.prohibited"])
    assert len(await bench.published(OrderRejected)) == 1


async def test_an_event_about_an_unknown_order_is_set_aside_and_spoils_nothing(bench: Bench) -> None:
    order_id = await placed(bench)
    await bench.deliver(build.approved("ord_nobody"), build.approved(order_id), build.reserved(order_id))
    letters = await bench.database.fetch("SELECT key, error FROM dead_letter")
    assert [letter["key"] for letter in letters] == ["ord_nobody"]
    assert "there is no order" in letters[0]["error"]
    assert await bench.database.fetchval("SELECT facts ->> 'stock' FROM orders WHERE id = $1", order_id) == "reserved"


# ── The timeline ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_timeline_tells_causes_before_effects_whatever_the_clocks_say(bench: Bench) -> None:
    order_id = await placed(bench)
    now = datetime.now(UTC)
    own = await outbox(bench)
    reserved = bench.envelope(
        build.reserved(order_id), causation=own[0].attributes["ce_id"], at=now - timedelta(minutes=9)
    )
    approved = bench.envelope(
        build.approved(order_id), causation=own[0].attributes["ce_id"], at=now - timedelta(minutes=8)
    )
    cleared = bench.envelope(
        build.cleared(order_id), causation=own[0].attributes["ce_id"], at=now - timedelta(minutes=7)
    )
    await bench.settle([reserved, approved, cleared, *own])
    own = await outbox(bench)
    authorised = bench.envelope(
        build.authorised(order_id), causation=own[1].attributes["ce_id"], at=now - timedelta(hours=1)
    )
    await bench.settle([authorised, own[1]])
    await bench.settle((await outbox(bench))[2:])
    async with bench.client as client:
        told = (await client.get(f"/v1/orders/{order_id}/timeline")).json()["data"]
    assert [event["type"].split(".", 1)[1] for event in told] == [
        "order.placed.v1",
        "reservation.reserved.v1",
        "assessment.approved.v1",
        "customs.cleared.v1",
        "order.payment_requested.v1",
        "payment.authorised.v1",
        "order.confirmed.v1",
    ]
    places = {event["id"]: place for place, event in enumerate(told)}
    assert all(places[event["cause"]] < places[event["id"]] for event in told if event["cause"] in places)
    assert told[0]["summary"].startswith("Order ")
    assert "tok_ok" not in str(told)
    assert not any({"token", "signals", "card_fingerprint"} & set(event["data"]) for event in told)
    assert (told[1]["service"], told[1]["data"]["order_id"]) == ("inventory", order_id)


async def outbox(bench: Bench) -> list[Envelope]:
    """What orders has published, as Kafka brings it back to orders."""
    rows = await bench.database.fetch("SELECT * FROM outbox ORDER BY id")
    return [
        Envelope(
            row["topic"],
            row["key"],
            row["sequence"],
            {
                "ce_id": row["event_id"],
                "ce_type": row["type"],
                "ce_time": row["created_at"].isoformat(),
                "ce_sequence": str(row["sequence"]),
                "ce_causationid": row["headers"].get("causation", ""),
            },
            row["payload"].encode(),
        )
        for row in rows
    ]


async def test_events_that_no_use_case_decides_are_told_too(bench: Bench) -> None:
    from shared.contracts.support import ReturnRequested
    from shared.contracts.values import ReturnLine

    order_id = await placed(bench)
    lines = (ReturnLine(sku="MUG", quantity=1, reason="unwanted"),)
    await bench.deliver(ReturnRequested(order_id=order_id, return_id="ret_1", lines=lines))
    async with bench.client as client:
        told = (await client.get(f"/v1/orders/{order_id}/timeline")).json()["data"]
    assert [(event["service"], event["summary"]) for event in told] == [("support", "The buyer asks for a return")]


# ── Lists ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_list_pages_through_all_without_a_gap_or_a_repeat(bench: Bench) -> None:
    async with bench.client as client:
        made = await asyncio.gather(*(client.post("/v1/orders", json=build.order_json()) for _ in range(25)))
        found: list[str] = []
        after: dict[str, str] = {}
        for _ in itertools.count():
            page = (await client.get("/v1/orders", params={"limit": "10", **after})).json()
            found += [order["id"] for order in page["data"]]
            if not page["has_more"]:
                break
            after = {"after": page["next"]}
    assert sorted(found) == sorted(answer.json()["id"] for answer in made)
    assert len(found) == 25


async def test_filters_narrow_a_list(bench: Bench) -> None:
    held, plain = await placed(bench), await placed(bench)
    await bench.deliver(build.held(held))
    number = (await seen(bench, plain)).number
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    async with bench.client as client:

        async def ids(**params: str) -> set[str]:
            answer = await client.get("/v1/orders", params=params)
            assert answer.status_code == 200, answer.text
            return {order["id"] for order in answer.json()["data"]}

        assert await ids(hold="customs_papers") == {held}
        assert await ids(number=number.lower().replace("-", " ")) == {plain}
        assert await ids(status="placed", market="DE", channel="storefront") == {held, plain}
        assert await ids(status="confirmed") == set()
        assert await ids(**{"created_at[lt]": tomorrow}) == {held, plain}
        assert await ids(**{"created_at[gte]": tomorrow}) == set()
        unknown = await client.get("/v1/orders", params={"stauts": "placed"})
        wrong = await client.get("/v1/orders", params={"status": "lost"})
        cursor = await client.get("/v1/orders", params={"after": "nonsense"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "parameter.unknown")
    assert (wrong.status_code, cursor.status_code) == (400, 400)


# ── Whose it is ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_another_store_sees_none_of_it(bench: Bench) -> None:
    order_id = await placed(bench)
    async with bench.client_of(OTHER_STORE) as other:
        wish = {"reason": "mine", "requested_by": "seller"}
        answers = [
            await other.get(f"/v1/orders/{order_id}"),
            await other.get(f"/v1/orders/{order_id}/timeline"),
            await other.post(f"/v1/orders/{order_id}/cancellation", json=wish),
        ]
        listed = await other.get("/v1/orders")
        people = await other.post("/internal/v1/recipients:batch", json={"order_ids": [order_id]})
        ordered = await other.post("/v1/orders", json=build.order_json())
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert {answer.json()["code"] for answer in answers} == {"order.not_found"}
    assert listed.json()["data"] == []
    assert people.json() == {"data": [], "missing": [order_id]}
    assert ordered.json()["code"] == "product.unknown", "another store's products are not for sale here"


async def test_recipients_are_handed_out_on_their_own_scope_only(bench: Bench) -> None:
    order_id = await placed(bench)
    body = {"order_ids": [order_id, "ord_nobody"]}
    async with bench.client_of("internal") as internal, bench.client_of(None) as nobody:
        answer = await internal.post("/internal/v1/recipients:batch", json=body)
        forbidden = await internal.get(f"/v1/orders/{order_id}")
        stranger = await nobody.post("/internal/v1/recipients:batch", json=body)
    assert answer.status_code == 200, answer.text
    (person,) = answer.json()["data"]
    assert (person["order_id"], person["name"], person["address"]["city"]) == (order_id, "Erika Mustermann", "Berlin")
    assert answer.json()["missing"] == ["ord_nobody"]
    assert (forbidden.status_code, stranger.status_code) == (403, 401)


@pytest.mark.parametrize("moment", ["x", "", "2026-11-24T00:00:00", "9999-12-31T23:59:59-14:00", "9" * 30])
async def test_a_made_up_place_in_the_list_is_refused(bench: Bench, moment: str) -> None:
    async with bench.client as client:
        answer = await client.get("/v1/orders", params={"after": encode_cursor([moment, "ord_x"])})
    assert (answer.status_code, answer.json()["code"]) == (400, "cursor.malformed")


async def test_an_order_id_with_a_nul_is_refused_wherever_it_stands(bench: Bench) -> None:
    async with bench.client as client, bench.client_of("internal") as internal:
        timeline = await client.get("/v1/orders/a%00b/timeline")
        people = await internal.post("/internal/v1/recipients:batch", json={"order_ids": ["ord_\0"]})
    assert (timeline.status_code, timeline.json()["code"]) == (400, "request.nul")
    assert (people.status_code, people.json()["code"]) == (422, "request.invalid")


# ── What is measured ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_orders_are_counted_by_market_and_state_and_holds_are_measured(bench: Bench) -> None:
    def of(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    before = [of("freeport_orders_total", market="DE", state=state) for state in ("placed", "confirmed", "rejected")]
    oversold = of("freeport_orders_oversold_total", channel="bazaar")
    units = of("freeport_orders_oversold_units_total", channel="bazaar")
    await confirmed(bench)
    await bench.deliver(build.refused(await placed(bench)))
    async with bench.client as client:
        (sold,) = (await client.post("/v1/orders:import", json={"orders": [build.import_json()]})).json()["data"]
    await bench.deliver(build.refused(sold["id"], waiting=True), build.held(sold["id"]), build.approved(sold["id"]))
    after = [of("freeport_orders_total", market="DE", state=state) for state in ("placed", "confirmed", "rejected")]
    assert [now - then for now, then in zip(after, before, strict=True)] == [3, 1, 1]
    assert of("freeport_orders_oversold_total", channel="bazaar") == oversold + 1
    assert (
        of("freeport_orders_oversold_units_total", channel="bazaar") == units + 1
    )  # of two that were sold one was there
    await measure(bench.database)
    assert [of("freeport_orders_held", code=code) for code in ("stock", "customs_papers", "risk_review")] == [1, 1, 0]
    assert of("freeport_orders_held_oldest_age_seconds", code="stock") > 0


async def test_the_api_describes_itself_with_examples(bench: Bench) -> None:
    async with bench.client as client:
        described = (await client.get("/openapi.json")).json()
    operations = {operation["operationId"] for path in described["paths"].values() for operation in path.values()}
    elsewhere = ("webhook_", "dead_letters.", "operator_actions.")  # described by tests of their own
    assert {operation for operation in operations if not operation.startswith(elsewhere)} == {
        "orders.place",
        "orders.list",
        "orders.get",
        "orders.timeline",
        "orders.cancel",
        "orders.decide_stock",
        "channels.fulfilled_there",
        "channels.notice",
        "channels.refusals",
        "orders.import",
        "recipients.batch",
    }
    for name in ("OrderIn", "ImportIn", "CancellationIn"):
        assert described["components"]["schemas"][name]["examples"]
