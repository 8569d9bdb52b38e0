"""An order's way through logistics, with its real database, the sandbox carrier and real sockets."""

import asyncio
from collections.abc import AsyncGenerator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pypdf import PdfReader

from services.logistics.main import SERVICE, outside
from shared import s10
from shared.contracts.logistics import (
    CancellationRefused,
    PapersCleared,
    PapersHeld,
    ReturnParcelArrived,
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentException,
    ShipmentLost,
    ShipmentTracked,
    TrackingStatus,
)
from shared.contracts.orders import OrderCancellationRequested, OrderConfirmed
from shared.contracts.support import ReturnApproved
from shared.contracts.values import Allocation, ReturnLine
from shared.effects import Call
from shared.money import Money
from tests.builders.logistics import ORDER, RECIPIENT, a_product, an_order_id, confirmed, placed, published
from tests.fixtures.bench import OTHER_STORE, Bench, BenchFactory
from tests.integration.logistics.outside import Ear, World, a_world

pytestmark = pytest.mark.integration
Shipping = tuple[Bench, World, Ear]
CANCEL = OrderCancellationRequested(order_id=ORDER, reason="changed_mind", requested_by="buyer")


@pytest_asyncio.fixture
async def shipping(service_bench: BenchFactory, tmp_path: Path) -> AsyncGenerator[Shipping]:
    async with a_world(tmp_path) as (world, ear):
        ear.bench = await service_bench(SERVICE, **world.settings)
        yield ear.bench, world, ear


def living(line2: str) -> dict[str, Any]:
    """A recipient whose address orders trouble from the sandbox."""
    return RECIPIENT | {"address": RECIPIENT["address"] | {"line2": line2}}


async def heard(bench: Bench, ear: Ear, kind: type) -> None:
    async def published_it() -> bool:
        return bool(await bench.published(kind))

    await ear.until(published_it)


async def state(bench: Bench, order_id: str = ORDER) -> str:
    return (await bench.client.get(f"/v1/shipments/{order_id}")).json()["state"]


async def calls_come_due(bench: Bench) -> None:
    """A second look need not wait in a test."""
    await bench.database.execute("UPDATE outside_call SET next_at = now() WHERE done_at IS NULL")
    await bench.calls()


async def test_an_order_is_cleared_booked_dispatched_tracked_and_delivered(shipping: Shipping) -> None:
    bench, world, ear = shipping
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    (booked,) = await bench.published(ShipmentBooked)
    (label,) = (await world.book())["labels"]
    assert s10.is_valid(booked.parcels[0].tracking_number)
    assert booked.parcels[0].tracking_number == label["tracking_number"]
    assert (label["key"], label["reference"]) == (booked.parcels[0].parcel_id, booked.parcels[0].parcel_id)
    await world.advance(100)
    await heard(bench, ear, ShipmentDelivered)
    assert len(await bench.published(PapersCleared)) == 1
    (dispatched,) = await bench.published(ShipmentDispatched)
    assert dispatched.items == confirmed().allocations
    tracked = [event.status for event in await bench.published(ShipmentTracked)]
    assert tracked[-1] is TrackingStatus.DELIVERED
    shipment = (await bench.client.get(f"/v1/shipments/{ORDER}")).json()
    assert (shipment["state"], len(shipment["scans"])) == ("delivered", 5)


async def test_webhooks_that_come_three_times_count_once(shipping: Shipping) -> None:
    bench, world, ear = shipping
    await world.carrier.put("/behaviour", json={"webhook_deliveries": 3})
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    await world.advance(100)

    async def all_heard() -> bool:
        return ear.heard >= 15

    await ear.until(all_heard)
    assert set(ear.statuses) == {200}
    assert len(await bench.published(ShipmentDispatched)) == len(await bench.published(ShipmentDelivered)) == 1
    assert await bench.database.fetchval("SELECT count(*) FROM parcel_scan") == 5


async def test_a_parcel_from_every_warehouse_and_one_invoice(shipping: Shipping) -> None:
    bench, world, _ = shipping
    items = (
        Allocation(sku="MUG-1", warehouse="SZX", country="CN", quantity=1),
        Allocation(sku="MUG-1", warehouse="BER", country="DE", quantity=1),
    )
    await bench.deliver(published(), placed(), OrderConfirmed(order_id=ORDER, allocations=items))
    await bench.calls()
    (booked,) = await bench.published(ShipmentBooked)
    assert sorted(parcel.warehouse for parcel in booked.parcels) == ["BER", "SZX"]
    parcels = (await bench.client.get(f"/v1/shipments/{ORDER}")).json()["parcels"]
    assert {parcel["warehouse"]: parcel["mode"] for parcel in parcels} == {"BER": "domestic", "SZX": "post"}
    assert booked.cost == Money(790 + 390, "EUR")
    assert len((await world.book())["labels"]) == 2


async def test_a_lost_and_a_damaged_parcel_are_told(shipping: Shipping) -> None:
    bench, world, ear = shipping
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    (booked,) = await bench.published(ShipmentBooked)
    tracking = booked.parcels[0].tracking_number
    await world.advance(5)
    await world.carrier.post(f"/parcels/{tracking}/events", json={"code": "damaged"})
    await heard(bench, ear, ShipmentException)
    await world.carrier.post(f"/parcels/{tracking}/events", json={"code": "lost"})
    await heard(bench, ear, ShipmentLost)
    assert await state(bench) == "lost"


async def test_a_code_that_nobody_knows_is_unknown(shipping: Shipping) -> None:
    bench, world, ear = shipping
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    (booked,) = await bench.published(ShipmentBooked)
    await world.carrier.post(f"/parcels/{booked.parcels[0].tracking_number}/events", json={"code": "teleported"})
    await heard(bench, ear, ShipmentTracked)
    (tracked,) = await bench.published(ShipmentTracked)
    assert tracked.status is TrackingStatus.UNKNOWN
    metrics = (await bench.client.get("/metrics")).text
    assert 'freeport_tracking_codes_unknown_total{carrier="freepost"}' in metrics


# ── One label ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_killed_between_the_label_and_its_answer_there_is_one_label(shipping: Shipping) -> None:
    bench, world, _ = shipping
    await bench.deliver(published(), placed(), confirmed())
    async with outside(bench.kit.settings) as gateways:

        class Killed(BaseException):
            pass

        async def killed_after(call: Call) -> dict[str, Any] | None:
            answer = await gateways[call.kind](call)
            if call.kind == "carrier.label":
                raise Killed
            return answer

        with pytest.raises(Killed):
            await bench.calls(dict.fromkeys(gateways, killed_after))
    assert len((await world.book())["labels"]) == 1
    assert await bench.published(ShipmentBooked) == []
    survivor = await bench.replica()
    await calls_come_due(survivor)
    assert len((await world.book())["labels"]) == 1
    assert len(await survivor.published(ShipmentBooked)) == 1


async def test_a_label_whose_answer_was_lost_is_looked_up(shipping: Shipping) -> None:
    bench, world, _ = shipping
    world.orders.recipients[ORDER] = living("sandbox:timeout")
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    assert await state(bench) == "labelling"
    await calls_come_due(bench)
    assert await state(bench) == "booked"
    assert len((await world.book())["labels"]) == 1


async def test_a_carrier_that_is_down_is_asked_until_it_is_up(shipping: Shipping) -> None:
    bench, world, _ = shipping
    world.orders.recipients[ORDER] = living("sandbox:down")
    await bench.deliver(published(), placed(), confirmed())
    for _ in range(6):
        await calls_come_due(bench)
    assert await state(bench) == "booked"
    assert len((await world.book())["labels"]) == 1


async def test_orders_that_does_not_answer_is_asked_again_and_many_are_asked_about_at_once(shipping: Shipping) -> None:
    bench, world, _ = shipping
    orders = [an_order_id(str(number)) for number in range(5)]
    await bench.deliver(published(), *(placed(order_id=order_id) for order_id in orders))
    await bench.deliver(*(confirmed(order_id=order_id) for order_id in orders))
    world.orders.down = True
    await bench.calls()
    assert await state(bench, orders[0]) == "addressing"
    world.orders.down = False
    await calls_come_due(bench)
    assert {await state(bench, order_id) for order_id in orders} == {"booked"}
    assert [sorted(asked) for asked in world.orders.asked] == [sorted(orders)]


async def test_a_refused_address_is_corrected_and_booked_again(shipping: Shipping) -> None:
    bench, world, _ = shipping
    world.orders.recipients[ORDER] = living("sandbox:refuse")
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    (exception,) = await bench.published(ShipmentException)
    assert exception.reason.code == "label.refused"
    stuck = (await bench.client.get("/v1/shipments", params={"state": "stuck"})).json()["data"]
    assert [each["trouble"]["code"] for each in stuck] == ["label.refused"]
    world.orders.recipients[ORDER] = RECIPIENT
    assert (await bench.client.post(f"/v1/shipments/{ORDER}/booking")).status_code == 202
    await bench.calls()
    assert await state(bench) == "booked"
    assert (await bench.client.post(f"/v1/shipments/{ORDER}/booking")).json()["code"] == "shipment.not_stuck"


async def test_an_unknown_recipient_leaves_the_shipment_stuck(shipping: Shipping) -> None:
    bench, world, _ = shipping
    world.orders.unknown.add(ORDER)
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    (exception,) = await bench.published(ShipmentException)
    assert exception.reason.code == "recipient.missing"


# ── Cancelling ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancellation_before_hand_over_voids_the_label(shipping: Shipping) -> None:
    bench, world, _ = shipping
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    await bench.deliver(CANCEL)
    await bench.calls()
    assert len(await bench.published(ShipmentCancelled)) == 1
    assert [label["status"] for label in (await world.book())["labels"]] == ["void"]


async def test_a_cancellation_while_the_label_is_being_made_wins(shipping: Shipping) -> None:
    bench, world, _ = shipping
    await bench.deliver(published(), placed(), confirmed())
    async with outside(bench.kit.settings) as gateways:

        async def cancelled_meanwhile(call: Call) -> dict[str, Any] | None:
            answer = await gateways[call.kind](call)
            if call.kind == "carrier.label":
                await bench.deliver(CANCEL)
            return answer

        await bench.calls(dict.fromkeys(gateways, cancelled_meanwhile))
    assert [label["status"] for label in (await world.book())["labels"]] == ["void"]
    assert await bench.published(ShipmentBooked) == []
    assert len(await bench.published(ShipmentCancelled)) == 1


async def test_a_cancellation_after_hand_over_is_refused(shipping: Shipping) -> None:
    bench, world, ear = shipping
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    await world.advance(5)
    await heard(bench, ear, ShipmentDispatched)
    await bench.deliver(CANCEL)
    (refused,) = await bench.published(CancellationRefused)
    assert refused.reason.code == "shipment.handed_over"


async def test_the_carriers_word_refuses_when_its_scan_has_not_come_yet(shipping: Shipping) -> None:
    bench, world, ear = shipping
    ear.bench = None  # deaf for now
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    await world.advance(5)
    await bench.deliver(CANCEL)
    await bench.calls()
    assert len(await bench.published(CancellationRefused)) == 1
    assert len(await bench.published(ShipmentDispatched)) == 1
    assert await state(bench) == "dispatched"


# ── Papers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)


async def test_the_papers_are_real_pdfs_whose_numbers_are_the_orders(shipping: Shipping) -> None:
    bench, _, _ = shipping
    await bench.deliver(published(), placed(quantity=3), confirmed(quantity=3))
    await bench.calls()
    papers = (await bench.client.get(f"/v1/shipments/{ORDER}/documents")).json()["papers"]
    by_kind = {paper["kind"]: paper for paper in papers}
    answer = await bench.client.get(by_kind["commercial_invoice"]["url"])
    assert answer.headers["content-type"] == "application/pdf"
    invoice = text_of(answer.content)
    for expected in (
        "INV-F-1001", "Jürgen Groß", "50667 Köln", "Blue mug", "6912002100", "12.99", "38.97", "4.90 EUR", "43.87 EUR",
        "DAP", "1050 g",
    ):  # fmt: skip
        assert expected in invoice, expected
    packing = text_of((await bench.client.get(by_kind["packing_list"]["url"])).content)
    assert "1050 g" in packing
    assert "1110 g" in packing


async def test_a_label_is_printed_from_the_carrier(shipping: Shipping) -> None:
    bench, _, _ = shipping
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    (parcel,) = (await bench.client.get(f"/v1/shipments/{ORDER}")).json()["parcels"]
    path = f"/v1/shipments/{ORDER}/parcels/{parcel['parcel_id']}/label.pdf"
    assert parcel["tracking_number"] in text_of((await bench.client.get(path)).content)
    assert (await bench.client_of(OTHER_STORE).get(path)).status_code == 404


async def test_a_paper_is_frozen_when_the_goods_are_booked(shipping: Shipping) -> None:
    bench, _, _ = shipping
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    await bench.deliver(published(version=2, hs_code="0000000000", titles={"en": "Something else"}))
    (paper, _) = (await bench.client.get(f"/v1/shipments/{ORDER}/documents")).json()["papers"]
    first = (await bench.client.get(paper["url"])).content
    assert "Blue mug" in text_of(first)
    assert (await bench.client.get(paper["url"])).content == first


async def test_yen_have_no_decimals_and_what_the_font_lacks_is_said(shipping: Shipping) -> None:
    bench, world, _ = shipping
    address = RECIPIENT["address"] | {"city": "東京", "country": "JP", "line1": "Łódź 1"}
    world.orders.recipients[ORDER] = RECIPIENT | {"name": "山田太郎", "address": address}
    await bench.deliver(published(), placed(country="JP", price=Money(1500, "JPY")), confirmed())
    await bench.calls()
    (paper, _) = (await bench.client.get(f"/v1/shipments/{ORDER}/documents")).json()["papers"]
    invoice = text_of((await bench.client.get(paper["url"])).content)
    assert "3000 JPY" in invoice
    assert "Lódz 1" in invoice.replace("Ł", "L")
    assert "????" in invoice
    assert "Characters that this font cannot show" in invoice


async def test_a_recipient_is_erased_and_the_papers_say_so(shipping: Shipping) -> None:
    bench, _, _ = shipping
    await bench.deliver(published(), placed(country="BR"))
    identifier = {"type": "identifier", "order_id": ORDER, "identifiers": {"cpf": "529.982.247-25"}}
    assert (await bench.client.post("/v1/documents", json=identifier)).status_code == 201
    await bench.deliver(confirmed())
    in_use = await bench.client.delete(f"/v1/recipients/{ORDER}")
    assert in_use.json()["code"] == "recipient.in_use"
    await bench.calls()
    assert (await bench.client.delete(f"/v1/recipients/{ORDER}")).json()["erased"] is True
    (paper, _) = (await bench.client.get(f"/v1/shipments/{ORDER}/documents")).json()["papers"]
    assert "(erased on request)" in text_of((await bench.client.get(paper["url"])).content)
    tables = await bench.database.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    dumps = [
        await bench.database.fetchval(f"SELECT coalesce(string_agg(t::text, ''), '') FROM {row['table_name']} t")
        for row in tables
    ]
    everything = "".join(dumps)
    assert ORDER in everything
    for word in ("Groß", "Hauptstr", "j@example.com", "50667", "529.982"):
        assert word not in everything, word


# ── The way back ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_return_travels_back_to_its_warehouse(shipping: Shipping) -> None:
    bench, world, ear = shipping
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    await world.advance(100)
    await heard(bench, ear, ShipmentDelivered)
    line = ReturnLine(sku="MUG-1", quantity=1, reason="unwanted")
    await bench.deliver(ReturnApproved(order_id=ORDER, return_id="ret_1", lines=(line,), send_back=True))
    await bench.calls()
    await world.advance(100)
    await heard(bench, ear, ReturnParcelArrived)
    (arrived,) = await bench.published(ReturnParcelArrived)
    assert (arrived.return_id, arrived.warehouse) == ("ret_1", "SZX")
    (shown,) = (await bench.client.get(f"/v1/shipments/{ORDER}")).json()["returns"]
    assert shown["state"] == "arrived"


async def test_held_papers_keep_a_confirmed_order_from_being_booked(shipping: Shipping) -> None:
    bench, world, _ = shipping
    await bench.deliver(published(a_product(hs_code="")), placed(), confirmed())
    await bench.calls()
    assert len(await bench.published(PapersHeld)) == 1
    assert (await world.book())["labels"] == []
    await bench.deliver(published(version=2))
    await bench.calls()
    assert len(await bench.published(ShipmentBooked)) == 1


# ── Everything at once ────────────────────────────────────────────────────────────────────────────────────────────────

MOMENTS = ("placed", "orders.recipient", "carrier.label", "booked", "picked up, not heard of", "dispatched", "never")


async def test_buyers_change_their_minds_at_any_moment_and_the_carriers_book_agrees(shipping: Shipping) -> None:
    """Two replicas book; every wish is answered once, no live label is left behind, and nobody's parcel is forgotten."""
    bench, world, ear = shipping
    other = await bench.replica()
    orders = {an_order_id(f"{moment} {number}"): moment for moment in MOMENTS for number in range(3)}

    async def wish(*moments: str, order_id: str = "") -> None:
        wishing = [each for each, moment in orders.items() if moment in moments and order_id in ("", each)]
        if wishing:
            wishes = (OrderCancellationRequested(order_id=each, reason="x", requested_by="buyer") for each in wishing)
            await bench.deliver(*wishes)

    await bench.deliver(published(), *(placed(order_id=order_id) for order_id in orders))
    await wish("placed")
    await bench.deliver(*(confirmed(order_id=order_id) for order_id in orders))
    async with outside(bench.kit.settings) as gateways:

        async def while_calling(call: Call) -> dict[str, Any] | None:
            answer = await gateways[call.kind](call)
            if call.request["round"] == 1:
                await wish(call.kind, order_id=call.key)
            return answer

        hooked = dict.fromkeys(gateways, while_calling)
        await asyncio.gather(bench.calls(hooked), other.calls(hooked))
    await wish("booked")
    await bench.calls()
    ear.bench = None
    await world.advance(5)
    await wish("picked up, not heard of")
    await asyncio.gather(bench.calls(), other.calls())
    await ear.hear_at_last(bench)
    gone = [order_id for order_id, moment in orders.items() if moment in MOMENTS[4:]]

    async def all_are(wanted: str) -> bool:
        return {await state(bench, order_id) for order_id in gone} == {wanted}

    await ear.until(lambda: all_are("dispatched"))
    await wish("dispatched")
    await world.advance(100)
    await ear.until(lambda: all_are("delivered"))

    cancelled = {order_id for order_id, moment in orders.items() if moment in MOMENTS[:4]}
    refused = {order_id for order_id, moment in orders.items() if moment in MOMENTS[4:6]}
    assert sorted(event.order_id for event in await bench.published(ShipmentCancelled)) == sorted(cancelled)
    assert sorted(event.order_id for event in await bench.published(CancellationRefused)) == sorted(refused)
    parcels = await bench.database.fetch("SELECT order_id, parcel_id FROM parcel")
    order_of = {row["parcel_id"]: row["order_id"] for row in parcels}
    labels = (await world.book())["labels"]
    alive = [order_of[label["reference"]] for label in labels if label["status"] != "void"]
    assert sorted(alive) == sorted(set(orders) - cancelled)
    for order_id in orders:
        assert await state(bench, order_id) == ("cancelled" if order_id in cancelled else "delivered")
