"""What a connected channel sold comes in once, and the channel hears what became of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from services.orders.domain.book import OrderBook
from services.orders.domain.channel import ACKNOWLEDGE, CANCEL, NEAR, REFUND, SHIP, SHIP_BY, SHIP_BY_NEARS
from services.orders.domain.order import Order
from services.orders.domain.pricing import Wish
from services.orders.domain.standing import Status
from services.orders.usecases.cancel_order import CancelOrder, cancel_order
from services.orders.usecases.hear_news import hear_news
from services.orders.usecases.settle_channel_call import settle_channel_call
from services.orders.usecases.take_channel_orders import (
    CancelledThere,
    SoldOrder,
    TakeChannelOrders,
    take_channel_orders,
)
from services.orders.usecases.watch_ship_by import watch_ship_by
from shared.contracts.orders import OrderCancelled, OrderPlaced
from shared.contracts.payments import RefundRequested
from shared.contracts.values import Parcel
from shared.effects import Answered, Call, Deadline, Decision, Due, Effect
from shared.errors import Refusal
from shared.money import Money
from tests.builders import orders as b

SHIP_UNTIL = b.NOON + timedelta(days=2)
EXTERNAL = "302-1234567-1234567"


def connected_book() -> OrderBook:
    book = b.a_book()
    book.connected = frozenset({(b.STORE, "bazaar")})
    return book


def effects_of(decision: Decision) -> list[Effect]:
    assert not isinstance(decision, Refusal), decision
    return list(decision)


def calls(effects: list[Effect]) -> list[Call]:
    return [effect for effect in effects if isinstance(effect, Call)]


def taken(book: OrderBook, *cancelled: str, **changes: Any) -> list[Effect]:
    sold = (SoldOrder(order=b.an_imported_order(**changes), ship_by=SHIP_UNTIL),)
    ended = tuple(CancelledThere(external_id=external_id, reason="buyer_cancelled") for external_id in cancelled)
    command = TakeChannelOrders(store_id=b.STORE, channel="bazaar", sold=sold, cancelled=ended, cursor="page-7")
    return effects_of(take_channel_orders(command, book, b.a_moment()))


def an_order_in(book: OrderBook) -> Order:
    taken(book)
    (order,) = book.orders.values()
    return order


def heard(book: OrderBook, message: Any) -> list[Effect]:
    return effects_of(hear_news(message, book, b.a_moment()))


def answered(call: Call, answer: dict[str, Any] | None) -> Answered:
    return Answered(call.id, call.kind, call.key, call.request, answer)


def settled(book: OrderBook, call: Call, answer: dict[str, Any] | None) -> list[Effect]:
    return effects_of(settle_channel_call(answered(call, answer), book, b.a_moment()))


def due(book: OrderBook, kind: str, order: Order) -> list[Effect]:
    return effects_of(watch_ship_by(Due(kind, order.id), book, b.a_moment()))


def dispatched(book: OrderBook, order: Order) -> Call:
    parcel = Parcel(parcel_id="pcl_1", warehouse="wh_berlin", tracking_number="SB1", weight_grams=700, items=b.PLAN)
    booked = replace(b.booked(order_id=order.id), parcels=(parcel,))
    book.bookings[booked.shipment_id] = booked
    (call,) = calls(heard(book, b.dispatched(order_id=order.id)))
    return call


def attention(order: Order) -> list[str]:
    hold = order.holds.get("needs_attention")
    return [reason.code for reason in hold.reasons] if hold else []


def test_a_new_order_is_announced_and_acknowledged_and_its_ship_by_deadline_runs() -> None:
    effects = taken(connected_book())
    assert len([effect for effect in effects if isinstance(effect, OrderPlaced)]) == 1
    (call,) = calls(effects)
    assert (call.kind, call.request["external_id"]) == (ACKNOWLEDGE, EXTERNAL)
    deadlines = {effect.kind: effect.at for effect in effects if isinstance(effect, Deadline)}
    assert deadlines[SHIP_BY] == SHIP_UNTIL
    assert deadlines[SHIP_BY_NEARS] == SHIP_UNTIL - NEAR


def test_a_notice_and_the_poll_that_show_the_same_order_make_one() -> None:
    book = connected_book()
    taken(book)
    again = taken(book)
    assert [effect for effect in again if isinstance(effect, OrderPlaced)] == []
    assert calls(again) == []
    assert len(book.orders) == 1


def test_what_cannot_be_taken_in_is_kept_with_its_page_and_is_not_acknowledged() -> None:
    book = connected_book()
    effects = taken(book, wishes=(Wish("NOBODY-KNOWS", 1, Money(1, "EUR")),))
    assert calls(effects) == []
    (refusal,) = book.channel_refusals
    assert (refusal.external_id, refusal.code, refusal.cursor) == (EXTERNAL, "product.unknown", "page-7")


def test_what_is_taken_in_at_last_is_refused_no_more() -> None:
    book = connected_book()
    taken(book, wishes=(Wish("NOBODY-KNOWS", 1, Money(1, "EUR")),))
    taken(book)
    assert [refusal.code for refusal in book.channel_refusals] == ["product.unknown", ""]


def test_what_the_channel_cancelled_goes_through_the_handshake_and_is_not_told_back_to_it() -> None:
    book = connected_book()
    order = an_order_in(book)
    taken(book, EXTERNAL)
    assert (order.facts.cancel_by, order.status) == ("channel", Status.PLACED)  # its money is booked first
    effects = heard(book, b.captured(order_id=order.id))
    assert [effect.requested_by for effect in effects if isinstance(effect, OrderCancelled)] == ["channel"]
    assert calls(effects) == []


def test_a_cancellation_that_comes_twice_or_for_what_never_came_changes_nothing() -> None:
    book = connected_book()
    order = an_order_in(book)
    taken(book, EXTERNAL)
    before = order.facts
    taken(book, EXTERNAL, "never-came")
    assert order.facts == before


def test_our_cancellation_is_told_to_the_channel_with_its_reason() -> None:
    book = connected_book()
    order = an_order_in(book)
    cancel_order(
        CancelOrder(store_id=b.STORE, order_id=order.id, reason="out_of_stock", requested_by="seller"),
        book,
        b.a_moment(),
    )
    (call,) = calls(heard(book, b.captured(order_id=order.id)))
    assert (call.kind, call.request["external_id"], call.request["reason"]) == (CANCEL, EXTERNAL, "out_of_stock")


def test_the_tracking_goes_to_the_channel_when_the_parcel_has_left() -> None:
    book = connected_book()
    call = dispatched(book, an_order_in(book))
    assert (call.kind, call.request["carrier"]) == (SHIP, "sandbox")
    assert call.request["parcels"] == [{"tracking_number": "SB1", "lines": [{"sku": "MUG", "quantity": 2}]}]


def test_of_a_channel_that_is_not_connected_nothing_is_told() -> None:
    book = b.a_book()
    order = an_order_in(book)
    assert calls(heard(book, b.dispatched(order_id=order.id))) == []


def test_an_unknown_outcome_is_tried_again_later_each_time_under_an_id_of_its_own() -> None:
    book = connected_book()
    first = dispatched(book, an_order_in(book))
    (second,) = calls(settled(book, first, None))
    (third,) = calls(settled(book, second, None))
    assert len({first.id, second.id, third.id}) == 3
    assert second.not_before is not None
    assert third.not_before is not None
    assert b.NOON < second.not_before < third.not_before
    assert {key: value for key, value in third.request.items() if key != "tries"} == {
        key: value for key, value in first.request.items() if key != "tries"
    }


def test_a_busy_channel_is_asked_when_it_wants_to_be() -> None:
    book = connected_book()
    (again,) = calls(settled(book, dispatched(book, an_order_in(book)), {"result": "busy", "retry_after_s": 42.0}))
    assert again.not_before == b.a_moment().decided_at + timedelta(seconds=42)


def test_a_channel_that_is_silent_for_long_needs_a_person_until_it_answers() -> None:
    book = connected_book()
    order = an_order_in(book)
    call = dispatched(book, order)
    for _ in range(5):
        (call,) = calls(settled(book, call, None))
        assert attention(order) == []
    (call,) = calls(settled(book, call, None))
    assert attention(order) == ["channel.silent"]
    settled(book, call, {"result": "done"})
    assert attention(order) == []


def test_a_refusal_of_the_channel_needs_a_person_and_is_not_repeated() -> None:
    book = connected_book()
    order = an_order_in(book)
    effects = settled(book, dispatched(book, order), {"result": "refused", "code": "carrier_unknown", "detail": ""})
    assert calls(effects) == []
    assert attention(order) == ["channel.refused"]


def test_a_ship_by_deadline_that_nears_and_passes_needs_a_person_until_the_tracking_is_there() -> None:
    book = connected_book()
    order = an_order_in(book)
    due(book, SHIP_BY_NEARS, order)
    assert attention(order) == ["channel.ship_by_nears"]
    due(book, SHIP_BY, order)
    assert attention(order) == ["channel.ship_by_missed"]
    settled(book, dispatched(book, order), {"result": "done"})
    assert attention(order) == []


def test_a_ship_by_deadline_of_what_the_channel_has_tracking_of_is_none() -> None:
    book = connected_book()
    order = an_order_in(book)
    settled(book, dispatched(book, order), {"result": "done"})
    assert due(book, SHIP_BY, order) == []


def a_refund(order: Order, *, through_channel: bool = True) -> RefundRequested:
    return RefundRequested(
        order_id=order.id,
        refund_id="rfd_1",
        amount=Money(500, "EUR"),
        reason="goodwill",
        through_channel=through_channel,
    )


def test_a_refund_that_the_channel_pays_out_is_told_to_it_once() -> None:
    book = connected_book()
    order = an_order_in(book)
    (call,) = calls(heard(book, a_refund(order)))
    (again,) = calls(heard(book, a_refund(order)))
    assert (call.kind, call.request["amount"]) == (REFUND, {"amount": "500", "currency": "EUR"})
    assert call.id == again.id


def test_a_refund_of_ours_is_no_business_of_the_channel() -> None:
    book = connected_book()
    assert calls(heard(book, a_refund(an_order_in(book), through_channel=False))) == []


def test_with_an_order_that_ended_unshipped_the_channel_pays_by_itself() -> None:
    book = connected_book()
    order = an_order_in(book)
    taken(book, EXTERNAL)
    heard(book, b.captured(order_id=order.id))
    assert order.status is Status.CANCELLED
    assert calls(heard(book, a_refund(order))) == []
