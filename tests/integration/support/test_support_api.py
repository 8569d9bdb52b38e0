"""Support over HTTP and events, with its real database."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from services.support.main import SERVICE
from services.support.metrics import measure
from services.support.tables import metadata
from shared.contracts.inventory import RestockHeld, StockRestocked
from shared.contracts.logistics import ReturnParcelArrived, ShipmentDelivered
from shared.contracts.orders import OrderCancelled, OrderPlaced
from shared.contracts.payments import RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.support import ReturnApproved, ReturnReceived, ReturnRefused, ReturnRelocated, ReturnRequested
from shared.contracts.values import Allocation, Reason
from shared.ids import new_id
from tests.builders.support import NOON, a_dispatch, a_placed, euros
from tests.fixtures.bench import OTHER_STORE, Bench, BenchFactory
from tests.fixtures.schema import differences

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    return await service_bench(SERVICE)


Post = Callable[..., Awaitable[dict[str, Any]]]


@pytest_asyncio.fixture
async def post(bench: Bench) -> Post:
    async def post(
        path: str, body: dict[str, Any] | None = None, *, status: int = 200, store: str = ""
    ) -> dict[str, Any]:
        client = bench.client_of(store) if store else bench.client
        response = await client.post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    return post


async def a_shipped_order(bench: Bench, *lines: tuple[str, int, int], **other: Any) -> OrderPlaced:
    placed = a_placed(lines or (("MUG", 3, 3000),), **other)
    await bench.deliver(placed, a_dispatch(placed), store=placed.store_id)
    return placed


def a_claim(
    placed: OrderPlaced, quantity: int = 1, sku: str = "MUG", reason: str = "unwanted", **other: Any
) -> dict[str, Any]:
    return {"order_id": placed.order_id, "lines": [{"sku": sku, "quantity": quantity, "reason": reason}], **other}


def a_receipt(quantity: int = 1, sku: str = "MUG", grade: str = "sellable", **other: Any) -> dict[str, Any]:
    return {"warehouse": "DE-1", "lines": [{"sku": sku, "quantity": quantity, "grade": grade}], **other}


async def test_a_return_from_the_request_to_the_money(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench)
    claim = await post("/v1/returns", a_claim(placed, 2, reason="damaged"), status=201)
    path = f"/v1/returns/{claim['id']}"
    assert (await bench.client.get(path)).json() == claim
    assert (await post(f"{path}/approval", {"decision": "approve"}))["state"] == "approved"
    arrived = ReturnParcelArrived(order_id=placed.order_id, return_id=claim["id"], warehouse="DE-1", arrived_at=NOON)
    await bench.deliver(arrived)
    assert (await bench.client.get(path)).json()["state"] == "parcel_arrived"
    received = await post(f"{path}/receipt", a_receipt())
    assert (received["state"], received["restock"], received["refund"]) == ("received", "pending", "pending")
    assert received["refund_promised"] == {"amount": "1000", "currency": "EUR"}
    shelf = (Allocation(sku="MUG", warehouse="DE-1", country="DE", quantity=1),)
    await bench.deliver(StockRestocked(order_id=placed.order_id, return_id=claim["id"], allocations=shelf))
    refund = RefundSucceeded(order_id=placed.order_id, refund_id="rfd_1", amount=euros(1000), return_id=claim["id"])
    await bench.deliver(refund)
    settled = (await bench.client.get(path)).json()
    assert (settled["restock"], settled["refund"], settled["refund_paid"]["amount"]) == (
        "restocked",
        "refunded",
        "1000",
    )
    assert [(line["grade"], line["quantity"]) for line in settled["received"]] == [("sellable", 1), ("missing", 1)]
    told = await bench.published()
    assert [type(event) for event in told] == [ReturnRequested, ReturnApproved, ReturnReceived]
    assert told[2].refund == euros(1000)  # type: ignore[attr-defined]


async def test_money_and_goods_fail_and_succeed_apart(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench)
    claim = await post("/v1/returns", a_claim(placed, approve=True, send_back=True), status=201)
    await post(f"/v1/returns/{claim['id']}/receipt", a_receipt())
    reason = Reason(code="provider.refused", message="account closed")
    failed = RefundFailed(
        order_id=placed.order_id, refund_id="rfd_1", amount=euros(1000), return_id=claim["id"], reason=reason
    )
    await bench.deliver(failed)
    found = (await bench.client.get(f"/v1/returns/{claim['id']}")).json()
    assert (found["state"], found["restock"], found["refund"]) == ("received", "pending", "failed")


async def test_a_failed_refund_that_is_paid_by_hand_is_read_back_and_leaves_the_cap_right(
    bench: Bench, post: Post
) -> None:
    placed = await a_shipped_order(bench)
    claim = await post("/v1/returns", a_claim(placed, approve=True, send_back=True), status=201)
    await post(f"/v1/returns/{claim['id']}/receipt", a_receipt())
    about: dict[str, Any] = {"order_id": placed.order_id, "return_id": claim["id"]}
    because = Reason(code="refund.card_closed", message="the card is closed", clears_with="POST /v1/refunds")
    await bench.deliver(
        RefundRequested(refund_id="rfd_1", amount=euros(1000), reason="return", **about),
        RefundFailed(refund_id="rfd_1", amount=euros(1000), reason=because, **about),
    )
    found = (await bench.client.get(f"/v1/returns/{claim['id']}")).json()
    assert (found["refund"], found["refund_owed"]["amount"]) == ("failed", "1000")
    assert found["refund_because"] == {
        "code": "refund.card_closed",
        "message": "the card is closed",
        "clears_with": "POST /v1/refunds",
    }
    await bench.deliver(
        RefundRequested(refund_id="rfd_2", amount=euros(1000), reason="by_hand", **about),
        RefundSucceeded(refund_id="rfd_2", amount=euros(1000), **about),
    )
    found = (await bench.client.get(f"/v1/returns/{claim['id']}")).json()
    assert (found["refund"], found["refund_owed"], found["refund_paid"]["amount"]) == ("refunded", None, "1000")
    later = await post("/v1/returns", a_claim(placed, 2, approve=True, send_back=False), status=201)
    assert later["refund_promised"]["amount"] == "2000"


async def test_a_refund_that_fell_short_is_shown_with_what_is_owed(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench)
    claim = await post("/v1/returns", a_claim(placed, approve=True, send_back=True), status=201)
    await post(f"/v1/returns/{claim['id']}/receipt", a_receipt())
    about: dict[str, Any] = {"order_id": placed.order_id, "return_id": claim["id"], "refund_id": "rfd_1"}
    because = Reason(code="refund.exceeds_captured", message="4.00 EUR is left", clears_with="POST /v1/refunds")
    await bench.deliver(
        RefundRequested(amount=euros(400), asked=euros(1000), reduced=because, reason="return", **about),
        RefundSucceeded(amount=euros(400), **about),
    )
    found = (await bench.client.get(f"/v1/returns/{claim['id']}")).json()
    assert (found["refund"], found["refund_paid"]["amount"], found["refund_owed"]["amount"]) == ("short", "400", "600")
    assert found["refund_because"]["code"] == "refund.exceeds_captured"


async def test_goods_in_an_unknown_warehouse_are_shown_and_said_to_be_elsewhere(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench)
    claim = await post("/v1/returns", a_claim(placed, approve=True, send_back=True), status=201)
    path = f"/v1/returns/{claim['id']}"
    assert (await post(f"{path}/receipt", a_receipt() | {"warehouse": "no such place"}, status=422))["code"]
    await post(f"{path}/receipt", a_receipt() | {"warehouse": "ATL"})
    assert (await post(f"{path}/relocation", {"warehouse": "DE-1"}, status=409))["code"] == "return.not_held"
    because = Reason(
        code="warehouse.unknown", message="there is no warehouse ATL", clears_with="PUT /v1/warehouses/ATL"
    )
    await bench.deliver(RestockHeld(order_id=placed.order_id, return_id=claim["id"], lines=(), reason=because))
    found = (await bench.client.get(path)).json()
    assert (found["restock"], found["restock_because"]["clears_with"]) == ("held", "PUT /v1/warehouses/ATL")
    moved = await post(f"{path}/relocation", {"warehouse": "DE-1"})
    assert (moved["restock"], moved["relocated_to"]) == ("pending", "DE-1")
    (relocated,) = await bench.published(ReturnRelocated)
    assert (relocated.return_id, relocated.warehouse) == (claim["id"], "DE-1")
    shelf = (Allocation(sku="MUG", warehouse="DE-1", country="DE", quantity=1),)
    await bench.deliver(StockRestocked(order_id=placed.order_id, return_id=claim["id"], allocations=shelf))
    found = (await bench.client.get(path)).json()
    assert (found["restock"], found["restock_because"]) == ("restocked", None)


async def test_cheap_goods_are_refunded_and_kept(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench, ("PIN", 1, 120))
    claim = await post("/v1/returns", a_claim(placed, sku="PIN", approve=True), status=201)
    assert (claim["state"], claim["send_back"], claim["refund"]) == ("approved", False, "pending")
    (approved,) = await bench.published(ReturnApproved)
    assert (approved.send_back, approved.refund_now) == (False, euros(120))


async def test_a_refused_return_tells_why_and_gives_its_units_free(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench, ("MUG", 1, 1000))
    claim = await post("/v1/returns", a_claim(placed), status=201)
    refused = await post(f"/v1/returns/{claim['id']}/approval", {"decision": "refuse", "reason": "used"})
    assert (refused["state"], refused["refused_because"]["code"]) == ("refused", "used")
    assert (await bench.client.get(f"/v1/returns/{claim['id']}")).json()["refused_because"] == {
        "code": "used", "message": "it was used beyond trying it out",
    }  # fmt: skip
    (event,) = await bench.published(ReturnRefused)
    assert event.reason.code == "used"
    await post("/v1/returns", a_claim(placed), status=201)


@pytest.mark.parametrize(
    "body", [{"decision": "refuse"}, {"decision": "approve", "reason": "used"}, {"decision": "maybe"}, {}]
)
async def test_half_a_decision_is_none(bench: Bench, post: Post, body: dict[str, Any]) -> None:
    placed = await a_shipped_order(bench)
    claim = await post("/v1/returns", a_claim(placed), status=201)
    problem = await post(f"/v1/returns/{claim['id']}/approval", body, status=422)
    assert problem["code"] == "request.invalid"


async def test_every_refusal_has_its_code(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench, ("MUG", 2, 2000))
    waiting = a_placed((("MUG", 2, 2000),))
    await bench.deliver(waiting)
    ghost = a_placed()
    refused = [
        (a_claim(placed, 3), 409, "return.exceeds_purchase"),
        (a_claim(placed, sku="CUP"), 422, "return.not_in_order"),
        (a_claim(waiting), 409, "return.not_shipped"),
        (a_claim(ghost), 404, "order.not_found"),
        ({**a_claim(placed), "lines": a_claim(placed)["lines"] * 2}, 422, "return.duplicate_sku"),
        (a_claim(placed, reason="mood"), 422, "request.invalid"),
        (a_claim(placed, 0), 422, "request.invalid"),
        (a_claim(placed, send_back=True), 422, "request.invalid"),
    ]
    for body, status, code in refused:
        assert (await post("/v1/returns", body, status=status))["code"] == code
    assert await bench.published() == []


async def test_the_same_key_asks_once(bench: Bench) -> None:
    placed = await a_shipped_order(bench, ("MUG", 1, 1000))
    key = {"idempotency-key": "ret-1"}
    answers = [await bench.client.post("/v1/returns", json=a_claim(placed), headers=key) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert len(await bench.published(ReturnRequested)) == 1


async def test_of_many_who_claim_the_last_unit_one_gets_it(bench: Bench) -> None:
    placed = await a_shipped_order(bench, ("MUG", 3, 3000))
    replica = await bench.replica()
    answers = await asyncio.gather(*(
        each.client.post("/v1/returns", json=a_claim(placed)) for _ in range(5) for each in (bench, replica)
    ))  # fmt: skip
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 7


async def test_another_store_sees_nothing(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench)
    claim = await post("/v1/returns", a_claim(placed), status=201)
    ticket = await post("/v1/tickets", a_question(placed.order_id), status=201)
    other = bench.client_of(OTHER_STORE)
    for path in (f"/v1/returns/{claim['id']}", f"/v1/tickets/{ticket['id']}"):
        assert (await other.get(path)).status_code == 404
    for path in ("/v1/returns", "/v1/tickets"):
        assert (await other.get(path)).json()["data"] == []
    await post("/v1/returns", a_claim(placed), status=404, store=OTHER_STORE)
    await post(f"/v1/returns/{claim['id']}/approval", {"decision": "approve"}, status=404, store=OTHER_STORE)
    await post(f"/v1/returns/{claim['id']}/receipt", a_receipt(), status=404, store=OTHER_STORE)
    await post("/v1/tickets", a_question(placed.order_id), status=404, store=OTHER_STORE)
    await post(f"/v1/tickets/{ticket['id']}/resolution", status=404, store=OTHER_STORE)


async def test_lists_turn_their_pages_newest_first_and_filter(bench: Bench, post: Post) -> None:
    orders = [await a_shipped_order(bench) for _ in range(3)]
    claims = [await post("/v1/returns", a_claim(placed), status=201) for placed in orders]
    await post(f"/v1/returns/{claims[1]['id']}/approval", {"decision": "approve"})
    newest = sorted((claim["id"] for claim in claims), reverse=True)
    first = (await bench.client.get("/v1/returns", params={"limit": 2})).json()
    rest = (await bench.client.get("/v1/returns", params={"limit": 2, "after": first["next"]})).json()
    assert [claim["id"] for claim in first["data"] + rest["data"]] == newest
    assert (first["has_more"], rest["has_more"]) == (True, False)
    for params, ids in (
        ({"order_id": orders[0].order_id}, [claims[0]["id"]]),
        ({"state": "approved"}, [claims[1]["id"]]),
        ({"state": "received"}, []),
    ):
        assert [claim["id"] for claim in (await bench.client.get("/v1/returns", params=params)).json()["data"]] == ids


async def test_who_may_ask_may_not_approve(bench: Bench) -> None:
    placed = await a_shipped_order(bench)
    owner = await asyncpg.connect(bench.place.owner_url)
    await owner.execute("UPDATE api_key SET scopes = '{returns:write}' WHERE store_id = 'str_demo'")
    await owner.close()
    approved = await bench.client.post("/v1/returns", json=a_claim(placed, approve=True))
    assert (approved.status_code, approved.json()["code"]) == (403, "auth.scope")
    assert (await bench.client.post("/v1/returns", json=a_claim(placed))).status_code == 201


# ── Tickets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_question(order_id: str | None = None, message: str = "Where is my parcel?") -> dict[str, Any]:
    return {"order_id": order_id, "customer": "mira@example.org", "subject": "Parcel", "message": message}


async def test_a_conversation_reads_as_it_was_written(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench)
    ticket = await post("/v1/tickets", a_question(placed.order_id), status=201)
    path = f"/v1/tickets/{ticket['id']}"
    due = datetime.fromisoformat(ticket["first_response_due_at"]) - datetime.fromisoformat(ticket["opened_at"])
    assert due == timedelta(hours=24)
    written = await post(f"{path}/messages", {"author": "staff", "message": "On its way."}, status=201)
    assert written["ticket"]["first_responded_at"] == written["message"]["written_at"]
    await post(f"{path}/messages", {"author": "customer", "message": "Thanks!"}, status=201)
    assert (await post(f"{path}/resolution"))["status"] == "resolved"
    found = (await bench.client.get(path)).json()
    said = [(message["author"], message["text"]) for message in found["conversation"]]
    assert said == [("customer", "Where is my parcel?"), ("staff", "On its way."), ("customer", "Thanks!")]
    assert (found["status"], found["messages"], found["first_response_breached"]) == ("resolved", 3, False)
    assert await bench.published() == []  # what people write is nobody else's


async def test_a_day_without_an_answer_is_seen(bench: Bench, post: Post) -> None:
    silent = await post("/v1/tickets", a_question(), status=201)
    answered = await post("/v1/tickets", a_question(), status=201)
    resolved = await post("/v1/tickets", a_question(), status=201)
    await post(f"/v1/tickets/{answered['id']}/messages", {"author": "staff", "message": "Here."}, status=201)
    await post(f"/v1/tickets/{resolved['id']}/resolution")
    assert await bench.due() == 1  # the other two clocks are stopped
    listed = (await bench.client.get("/v1/tickets", params={"breached": True})).json()["data"]
    assert [ticket["id"] for ticket in listed] == [silent["id"]]
    await measure(bench.database)
    metrics = (await bench.client.get("/metrics")).text
    assert "freeport_tickets_first_response_breached 1.0" in metrics
    assert "freeport_tickets_open 2.0" in metrics


async def test_a_card_number_does_not_come_to_rest_in_a_ticket(bench: Bench, post: Post) -> None:
    card = "my card is 4242 4242 4242 4242"
    assert (await post("/v1/tickets", a_question(message=card), status=422))["code"] == "ticket.card_number"
    ticket = await post("/v1/tickets", a_question(message="ends in 4242"), status=201)
    body = {"author": "customer", "message": card}
    problem = await post(f"/v1/tickets/{ticket['id']}/messages", body, status=422)
    assert "4242" not in str(problem)
    assert await bench.database.fetchval("SELECT count(*) FROM ticket_message WHERE text LIKE '%4242 4242%'") == 0


async def test_an_unknown_ticket_is_not_there(bench: Bench, post: Post) -> None:
    await post(f"/v1/tickets/{new_id('tkt')}/resolution", status=404)
    assert (await bench.client.get(f"/v1/tickets/{new_id('tkt')}")).status_code == 404
    assert (await bench.client.get("/v1/tickets/%00")).status_code == 400


# ── Facts and tables ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_batching_and_no_order_of_topics_shows_in_the_end(bench: Bench, service_bench: BenchFactory) -> None:
    one_by_one = await service_bench(SERVICE)
    events: list[Any] = []
    for number in range(12):
        placed = a_placed((("MUG", number + 1, 1000), ("CUP", 1, 99)))
        events += [placed, a_dispatch(placed)]
        events += [ShipmentDelivered(order_id=placed.order_id, shipment_id="shp_1", delivered_at=NOON)]
        events += [RefundSucceeded(order_id=placed.order_id, refund_id="rfd_1", amount=euros(number))]
        if number % 3 == 0:
            events.append(OrderCancelled(order_id=placed.order_id, reason="r", requested_by="buyer"))
    await bench.deliver(*events, at=NOON)
    shuffled = sorted(events, key=lambda event: event.topic.name)  # a topic's own order stays
    random.Random(7).shuffle(topics := sorted({event.topic.name for event in events}))
    for event in sorted(shuffled, key=lambda event: topics.index(event.topic.name)):
        await one_by_one.deliver(event, at=NOON)
    read = "SELECT * FROM purchase ORDER BY order_id"
    batched, single = [[dict(row) for row in await each.database.fetch(read)] for each in (bench, one_by_one)]
    assert batched == single
    assert len(batched) == 12


async def test_events_and_commands_that_come_again_change_nothing(bench: Bench, post: Post) -> None:
    placed = a_placed()
    envelopes = [bench.envelope(placed), bench.envelope(a_dispatch(placed))]
    for _ in range(3):
        await bench.settle(envelopes)
    assert await bench.database.fetchval("SELECT shipped FROM purchase") == {"MUG": 3}
    assert (await post("/v1/returns", a_claim(placed, 4), status=409))["code"] == "return.exceeds_purchase"


async def test_the_migrations_make_the_tables_that_are_described(bench: Bench) -> None:
    assert await differences(bench, metadata) == set()


async def test_the_database_itself_refuses_a_state_that_does_not_exist(bench: Bench, post: Post) -> None:
    placed = await a_shipped_order(bench)
    await post("/v1/returns", a_claim(placed), status=201)
    with pytest.raises(asyncpg.CheckViolationError):
        await bench.database.execute("UPDATE return_case SET state = 'lost'")
