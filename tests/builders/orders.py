"""Orders for tests: each builder mentions nothing that does not matter."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.orders.domain.book import OrderBook
from services.orders.domain.offer import Offer
from services.orders.domain.order import Order
from services.orders.domain.patience import Patience
from services.orders.domain.pricing import Wish
from services.orders.domain.recipient import Address, Recipient
from services.orders.domain.standing import STOREFRONT, PaymentTerms, Status
from services.orders.usecases.import_orders import ImportedOrder
from services.orders.usecases.place_order import PlaceOrder
from shared.contracts.catalog import MarketPrice, ProductPublished
from shared.contracts.inventory import (
    ReservationBroken,
    ReservationCommitted,
    ReservationExpired,
    ReservationReleased,
    RestockHeld,
    StockConsumed,
    StockRefused,
    StockReserved,
    StockRestocked,
)
from shared.contracts.logistics import (
    CancellationRefused,
    Mode,
    PapersCleared,
    PapersHeld,
    PapersProhibited,
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
from shared.contracts.orders import OrderPlaced
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOutcomeUnknown,
    PaymentVoided,
    RefundFailed,
    RefundRequested,
    RefundSucceeded,
)
from shared.contracts.risk import ReviewCause, RiskApproved, RiskRejected, RiskReviewDecided, RiskReviewOpened
from shared.contracts.values import (
    Allocation,
    Destination,
    OrderLine,
    OrderTotals,
    PaymentMethod,
    PaymentMode,
    Reason,
    RiskSignals,
    ServiceLevel,
    Shortfall,
)
from shared.effects import Moment
from shared.ids import derive_id
from shared.money import Money

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
STORE = "str_demo"
ORDER = "ord_01jc2v8k9q4t6x0m3n5p7r9s1v"
PAYMENT = derive_id("pay", ORDER)
CARD = PaymentTerms(mode=PaymentMode.COLLECT, method=PaymentMethod.CARD, token="tok_ok", card_fingerprint="fp_1")
COLLECTED = PaymentTerms(mode=PaymentMode.COLLECTED_BY_CHANNEL, method=PaymentMethod.CHANNEL)
PLAN = (Allocation(sku="MUG", warehouse="wh_berlin", country="DE", quantity=2),)
SHORT = (Shortfall(sku="MUG", requested=2, available=1),)
TOTAL = Money(2_598, "EUR")


def a_moment(
    *, message_id: str = "cmd_01jc2v8k9q4t6x0m3n5p7r9s1v", at: datetime = NOON, store_id: str = STORE
) -> Moment:
    return Moment(decided_at=at, occurred_at=at, message_id=message_id, store_id=store_id)


def an_order(**changes: Any) -> Order:
    """A storefront's order that was placed a moment ago; `facts` and `status` say how far it has come."""
    made: dict[str, Any] = {
        "id": ORDER,
        "store_id": STORE,
        "market": "DE",
        "channel": STOREFRONT,
        "refusable": True,
        "total": TOTAL,
        "terms": CARD,
        "created_at": NOON,
        "awaits": "agreement",
        "patient_until": NOON + Patience().ask,
    }
    return Order(**(made | changes))


def a_sold_order(**changes: Any) -> Order:
    """An order that a channel has sold and collected."""
    return an_order(**({"channel": "bazaar", "refusable": False, "terms": COLLECTED} | changes))


def an_announcement(order_id: str = ORDER, **changes: Any) -> OrderPlaced:
    """How an order of two mugs was announced."""
    nothing = Money(0, TOTAL.currency)
    made: dict[str, Any] = {
        "order_id": order_id,
        "number": "F-1",
        "store_id": STORE,
        "market": "DE",
        "channel": STOREFRONT,
        "placed_at": NOON,
        "lines": (OrderLine(line=1, sku="MUG", quantity=2, unit_price=Money(1_299, "EUR"), total=TOTAL),),
        "totals": OrderTotals(goods=TOTAL, shipping=nothing, duties=nothing, taxes=nothing, fees=nothing, total=TOTAL),
        "destination": Destination(country="DE", postal_area="105"),
        "payment_mode": PaymentMode.COLLECT,
        "payment_method": PaymentMethod.CARD,
        "signals": RiskSignals(card="fp_1"),
    }
    return OrderPlaced(**(made | changes))


def a_confirmed_order(**facts: Any) -> Order:
    order = an_order()
    for message in (reserved(), approved(), cleared(), authorised(), committed()):
        order.hear(message, NOON)
    assert order.status is Status.CONFIRMED
    order.facts = replace(order.facts, **facts)
    return order


def an_offer(sku: str = "MUG", amount: int = 1_299, market: str = "DE", **changes: Any) -> Offer:
    currency = {"DE": "EUR", "JP": "JPY", "GB": "GBP", "US": "USD"}[market]
    made: dict[str, Any] = {"store_id": STORE, "version": 1, "prices": {market: (Money(amount, currency),)}}
    return Offer(sku=sku, **(made | changes))


def a_product(sku: str = "MUG", version: int = 1, *prices: MarketPrice) -> ProductPublished:
    """For sale in Germany at 12.99, unless told otherwise."""
    usual = (MarketPrice(market="DE", price=Money(1_299, "EUR"), tax_included=True, tax_rate_bps=1_900),)
    return ProductPublished(sku=sku, version=version, titles={"en": sku}, category="mugs", prices=prices or usual)


def a_book(*offers: Offer, orders: Iterable[Order] = ()) -> OrderBook:
    book = OrderBook(offers={offer.sku: offer for offer in offers or (an_offer(),)})
    for order in orders:
        book.orders[order.id] = order
        book.before[order.id] = order.status
    return book


def a_recipient(**changes: Any) -> Recipient:
    made: dict[str, Any] = {
        "name": "Erika Mustermann",
        "email": "erika@example.com",
        "phone": "+49 30 901820",
        "address": Address(line1="Heidestraße 17", city="Berlin", postcode="10557", country="DE"),
    }
    return Recipient(**(made | changes))


def a_place_order(**changes: Any) -> PlaceOrder:
    made: dict[str, Any] = {
        "store_id": STORE,
        "market": "DE",
        "wishes": (Wish("MUG", 2),),
        "recipient": a_recipient(),
        "terms": CARD,
        "signals": RiskSignals(),
    }
    return PlaceOrder(**(made | changes))


def an_imported_order(**changes: Any) -> ImportedOrder:
    made: dict[str, Any] = {
        "market": "DE",
        "channel": "bazaar",
        "external_id": "302-1234567-1234567",
        "placed_at": NOON - timedelta(hours=3),
        "wishes": (Wish("MUG", 2, Money(999, "EUR")),),
        "destination": Destination(country="DE", postal_area="105"),
        "recipient": Recipient(),
        "terms": COLLECTED,
        "signals": RiskSignals(),
    }
    return ImportedOrder(**(made | changes))


def order_json(**changes: Any) -> dict[str, Any]:
    """The body of POST /v1/orders."""
    made: dict[str, Any] = {
        "market": "DE",
        "lines": [{"sku": "MUG", "quantity": 2}],
        "recipient": {
            "name": "Erika Mustermann",
            "email": "erika@example.com",
            "phone": "+49 30 901820",
            "address": {"line1": "Heidestraße 17", "city": "Berlin", "postcode": "10557", "country": "DE"},
        },
        "payment": {"method": "card", "token": "tok_ok", "card_fingerprint": "fp_1"},
    }
    return made | changes


def import_json(external_id: str = "302-1234567-1234567", **changes: Any) -> dict[str, Any]:
    """One order of POST /v1/orders:import."""
    made: dict[str, Any] = {
        "market": "DE",
        "channel": "bazaar",
        "external_id": external_id,
        "placed_at": "2026-11-24T09:00:00Z",
        "lines": [{"sku": "MUG", "quantity": 2, "unit_price": {"amount": "999", "currency": "EUR"}}],
        "destination": {"country": "DE", "postcode": "10557"},
        "payment": "collected_by_channel",
    }
    return made | changes


# ── What the others tell ──────────────────────────────────────────────────────────────────────────────────────────────


def reserved(order_id: str = ORDER) -> StockReserved:
    return StockReserved(order_id=order_id, allocations=PLAN, expires_at=NOON + timedelta(minutes=15))


def refused(order_id: str = ORDER, *, waiting: bool = False) -> StockRefused:
    return StockRefused(order_id=order_id, short=SHORT, waiting=waiting)


def committed(order_id: str = ORDER) -> ReservationCommitted:
    return ReservationCommitted(order_id=order_id)


def broken(order_id: str = ORDER, *, waiting: bool = False) -> ReservationBroken:
    return ReservationBroken(order_id=order_id, short=SHORT, waiting=waiting)


def expired(order_id: str = ORDER) -> ReservationExpired:
    return ReservationExpired(order_id=order_id)


def released(order_id: str = ORDER) -> ReservationReleased:
    return ReservationReleased(order_id=order_id)


def consumed(order_id: str = ORDER) -> StockConsumed:
    return StockConsumed(order_id=order_id, allocations=PLAN)


def approved(order_id: str = ORDER) -> RiskApproved:
    return RiskApproved(order_id=order_id, assessment_id="asm_1", rule_set="v1", score=5)


def rejected(order_id: str = ORDER) -> RiskRejected:
    reasons = (Reason(code="risk.velocity", message="too many orders"),)
    return RiskRejected(order_id=order_id, assessment_id="asm_1", rule_set="v1", score=95, reasons=reasons)


def review_opened(order_id: str = ORDER, cause: ReviewCause = ReviewCause.ORDER) -> RiskReviewOpened:
    return RiskReviewOpened(
        order_id=order_id,
        assessment_id="asm_1",
        review_id=f"rev_{cause}",
        cause=cause,
        rule_set="v1",
        score=60,
        reasons=(Reason(code=f"risk.{cause}", message="worth a look", clears_with="the review's decision"),),
        due_at=NOON + timedelta(hours=4),
    )


def review_decided(
    order_id: str = ORDER, cause: ReviewCause = ReviewCause.ORDER, *, approved: bool = True
) -> RiskReviewDecided:
    return RiskReviewDecided(
        order_id=order_id, review_id=f"rev_{cause}", cause=cause, approved=approved, decided_by="sk_test_demo"
    )


def cleared(order_id: str = ORDER) -> PapersCleared:
    return PapersCleared(order_id=order_id, rulebook="2026-11")


def held(order_id: str = ORDER) -> PapersHeld:
    finding = Reason(code="hs.missing", message="no HS code", clears_with="an HS code in the catalog", subject="MUG")
    return PapersHeld(order_id=order_id, rulebook="2026-11", findings=(finding,))


def prohibited(order_id: str = ORDER) -> PapersProhibited:
    finding = Reason(code="goods.prohibited", message="these may not go there", subject="MUG")
    return PapersProhibited(order_id=order_id, rulebook="2026-11", findings=(finding,))


def authorised(order_id: str = ORDER, *, card_matches: bool = True) -> PaymentAuthorised:
    return PaymentAuthorised(
        order_id=order_id,
        payment_id=PAYMENT,
        amount=TOTAL,
        mode=PaymentMode.COLLECT,
        method=PaymentMethod.CARD,
        card_matches=card_matches,
    )


def action_required(order_id: str = ORDER) -> PaymentActionRequired:
    return PaymentActionRequired(
        order_id=order_id,
        payment_id=PAYMENT,
        action_url="https://provider.example/3ds/1",
        expires_at=NOON + timedelta(minutes=30),
    )


def declined(order_id: str = ORDER) -> PaymentDeclined:
    reason = Reason(code="payment.insufficient_funds", message="not enough money")
    return PaymentDeclined(order_id=order_id, payment_id=PAYMENT, reason=reason)


def captured(order_id: str = ORDER) -> PaymentCaptured:
    return PaymentCaptured(order_id=order_id, payment_id=PAYMENT, amount=TOTAL)


def voided(order_id: str = ORDER) -> PaymentVoided:
    return PaymentVoided(order_id=order_id, payment_id=PAYMENT)


def unknown(order_id: str = ORDER, operation: str = "authorise", attention: str = "") -> PaymentOutcomeUnknown:
    """`attention`: the code of what a person must look at."""
    reason = Reason(code=attention, message="worth a look", clears_with="a person") if attention else None
    return PaymentOutcomeUnknown(order_id=order_id, payment_id=PAYMENT, operation=operation, attention=reason)


def refunded(order_id: str = ORDER, amount: int = TOTAL.amount) -> RefundSucceeded:
    return RefundSucceeded(order_id=order_id, refund_id="rfd_1", amount=Money(amount, TOTAL.currency))


def booked(order_id: str = ORDER) -> ShipmentBooked:
    return ShipmentBooked(
        order_id=order_id,
        shipment_id="shp_1",
        carrier="sandbox",
        mode=Mode.EXPRESS,
        service=ServiceLevel.STANDARD,
        cost=Money(900, "EUR"),
        parcels=(),
    )


def dispatched(order_id: str = ORDER) -> ShipmentDispatched:
    return ShipmentDispatched(order_id=order_id, shipment_id="shp_1", items=PLAN, dispatched_at=NOON)


def tracked(order_id: str = ORDER, status: TrackingStatus = TrackingStatus.IN_TRANSIT) -> ShipmentTracked:
    return ShipmentTracked(
        order_id=order_id, shipment_id="shp_1", tracking_number="SB1", status=status, scanned_at=NOON
    )


def delivered(order_id: str = ORDER) -> ShipmentDelivered:
    return ShipmentDelivered(order_id=order_id, shipment_id="shp_1", delivered_at=NOON)


def in_trouble(order_id: str = ORDER) -> ShipmentException:
    reason = Reason(code="shipment.damaged", message="the parcel is damaged")
    return ShipmentException(order_id=order_id, shipment_id="shp_1", reason=reason)


def lost(order_id: str = ORDER) -> ShipmentLost:
    return ShipmentLost(order_id=order_id, shipment_id="shp_1", tracking_number="SB1")


def shipment_cancelled(order_id: str = ORDER) -> ShipmentCancelled:
    return ShipmentCancelled(order_id=order_id)


def cancellation_refused(order_id: str = ORDER) -> CancellationRefused:
    reason = Reason(code="shipment.handed_over", message="the parcel is with the carrier")
    return CancellationRefused(order_id=order_id, shipment_id="shp_1", reason=reason)


def restock_held(order_id: str = ORDER) -> RestockHeld:
    reason = Reason(code="warehouse.unknown", message="there is no warehouse ATL", subject="ATL")
    return RestockHeld(order_id=order_id, return_id="ret_1", lines=(), reason=reason)


def restocked(order_id: str = ORDER) -> StockRestocked:
    return StockRestocked(order_id=order_id, return_id="ret_1", allocations=PLAN)


def refund_requested(order_id: str = ORDER, reason: str = "returned") -> RefundRequested:
    return RefundRequested(order_id=order_id, refund_id="rfd_1", amount=TOTAL, reason=reason)


def refund_failed(order_id: str = ORDER, code: str = "refund.refused") -> RefundFailed:
    reason = Reason(code=code, message="the card is closed")
    return RefundFailed(order_id=order_id, refund_id="rfd_1", amount=TOTAL, reason=reason)


def return_arrived(order_id: str = ORDER) -> ReturnParcelArrived:
    return ReturnParcelArrived(order_id=order_id, return_id="ret_1", warehouse="wh_berlin", arrived_at=NOON)
