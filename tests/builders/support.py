"""Orders, returns and tickets for support's tests; each says only what matters."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.support.domain.cases import Cases
from services.support.domain.return_policy import Distance, ReturnCosts, ReturnReason
from services.support.domain.returns import ClaimedLine, Return
from services.support.domain.ticket import Ticket
from services.support.usecases.approve_return import ApproveReturn, approve_return
from services.support.usecases.keep_order_copy import keep_dispatch, keep_placed_order
from services.support.usecases.open_ticket import OpenTicket, open_ticket
from services.support.usecases.receive_return import ReceiveReturn, receive_return
from services.support.usecases.request_return import RequestReturn, request_return
from shared.contracts.logistics import ShipmentDispatched
from shared.contracts.orders import OrderPlaced
from shared.contracts.values import (
    Allocation,
    Destination,
    Grade,
    OrderLine,
    OrderTotals,
    PaymentMethod,
    PaymentMode,
    ReceivedLine,
)
from shared.effects import Decision, Effects, Moment, Reply
from shared.errors import Refusal
from shared.ids import new_id
from shared.money import Money

STORE = "str_demo"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
COSTS = ReturnCosts(
    amounts={"EUR": {Distance.DOMESTIC: 500, Distance.REGIONAL: 1000, Distance.OVERSEAS: 2000}},
    customs_union=frozenset({"DE", "FR", "PL"}),
)


def euros(amount: int) -> Money:
    return Money(amount, "EUR")


def a_moment(at: datetime = NOON) -> Moment:
    return Moment(decided_at=at, occurred_at=at, message_id=new_id("cmd"), store_id=STORE)


def an_order_id() -> str:
    return new_id("ord")


def a_placed(
    lines: Mapping[str, tuple[int, int]] | tuple[tuple[str, int, int], ...] = (("MUG", 3, 3000),),
    *,
    order_id: str = "",
    store_id: str = STORE,
    shipping: int = 0,
    country: str = "DE",
    discount: int = 0,
    **other: Any,
) -> OrderPlaced:
    """Lines are (sku, quantity, total in cents)."""
    listed = lines if isinstance(lines, tuple) else tuple((sku, *rest) for sku, rest in lines.items())
    made = tuple(
        OrderLine(line=number, sku=sku, quantity=quantity, unit_price=euros(total // quantity), total=euros(total))
        for number, (sku, quantity, total) in enumerate(listed, start=1)
    )
    goods = sum(line.total.amount for line in made)
    totals = OrderTotals(
        goods=euros(goods),
        shipping=euros(shipping),
        duties=euros(0),
        taxes=euros(0),
        fees=euros(0),
        total=euros(goods + shipping - discount),
    )
    given: dict[str, Any] = {
        "order_id": order_id or an_order_id(),
        "number": "F-1001",
        "store_id": store_id,
        "market": "DE",
        "channel": "storefront",
        "placed_at": NOON - timedelta(days=3),
        "lines": made,
        "totals": totals,
        "destination": Destination(country=country),
        "payment_mode": PaymentMode.COLLECT,
        "payment_method": PaymentMethod.CARD,
        **other,
    }
    return OrderPlaced(**given)


def a_dispatch(
    placed: OrderPlaced, *, warehouse_country: str = "DE", units: Mapping[str, int] | None = None
) -> ShipmentDispatched:
    """All of the order has left, or only these units."""
    ordered: dict[str, int] = {}
    for line in placed.lines:
        ordered[line.sku] = ordered.get(line.sku, 0) + line.quantity
    return ShipmentDispatched(
        order_id=placed.order_id,
        shipment_id=new_id("shp"),
        items=tuple(
            Allocation(sku=sku, warehouse=f"{warehouse_country}-1", country=warehouse_country, quantity=quantity)
            for sku, quantity in (units or ordered).items()
        ),
        dispatched_at=NOON - timedelta(days=2),
    )


def cases_of(*placed: OrderPlaced, dispatched: bool = True, costs: ReturnCosts = COSTS) -> Cases:
    """A working set in which these orders came in and left."""
    cases = Cases(costs)
    for each in placed:
        keep_placed_order(each, cases, a_moment())
        if dispatched:
            keep_dispatch(a_dispatch(each), cases, a_moment())
    return cases


def a_line(sku: str = "MUG", quantity: int = 1, reason: ReturnReason = ReturnReason.UNWANTED) -> ClaimedLine:
    return ClaimedLine(sku=sku, quantity=quantity, reason=reason)


def found(sku: str = "MUG", quantity: int = 1, grade: Grade = Grade.SELLABLE) -> ReceivedLine:
    return ReceivedLine(sku=sku, quantity=quantity, grade=grade, warehouse="DE-1")


def request(cases: Cases, order_id: str, *lines: ClaimedLine, **other: Any) -> Decision:
    return request_return(RequestReturn(STORE, order_id, lines or (a_line(),), **other), cases, a_moment())


def approve(cases: Cases, claim: Return, send_back: bool | None = True) -> Decision:
    return approve_return(ApproveReturn(STORE, claim.id, send_back), cases, a_moment())


def receive(cases: Cases, claim: Return, *lines: ReceivedLine, refund: bool = True) -> Decision:
    return receive_return(ReceiveReturn(STORE, claim.id, "DE-1", lines or (found(),), refund), cases, a_moment())


def a_return(cases: Cases, order_id: str, *lines: ClaimedLine, **other: Any) -> Return:
    """A return that was requested."""
    return cases.returns[body_of(request(cases, order_id, *lines, **other))["id"]]


def a_ticket(cases: Cases, at: datetime = NOON) -> Ticket:
    """A ticket that was opened."""
    decision = open_ticket(OpenTicket(STORE, None, "mira@example.org", "Where is it?", "Hello?"), cases, a_moment(at))
    return cases.tickets[body_of(decision)["id"]]


def body_of(decision: Decision) -> Any:
    """The answer of a decision that was a yes."""
    return next(effect for effect in effects_of(decision) if isinstance(effect, Reply)).body


def events_of(decision: Decision) -> list[Any]:
    """The events and deadlines of a decision that was a yes."""
    return [effect for effect in effects_of(decision) if not isinstance(effect, Reply)]


def effects_of(decision: Decision) -> Effects:
    assert not isinstance(decision, Refusal), decision
    return decision


def code_of(decision: Decision) -> str:
    """The code of a decision that was a no."""
    assert isinstance(decision, Refusal), decision
    return decision.code
