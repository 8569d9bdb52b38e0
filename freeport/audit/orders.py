"""Invariants across services: what each knows of an order agrees, and every order that was acknowledged is there."""

from collections.abc import Callable, Iterable, Mapping

from freeport.audit.books import Books, Row
from freeport.audit.check import Check, Finding
from freeport.audit.stuck import Stuck

_ORDERS = """
SELECT id AS order_id, status, payment_status, fulfilment_status, held, total, currency FROM orders
"""
_RESERVATIONS = "SELECT order_id, status FROM reservation"
_PAYMENTS = """
SELECT p.order_id, p.state, p.amount, p.currency, p.attention,
    coalesce((SELECT sum(a.captured) FROM payment_attempt a WHERE a.order_id = p.order_id), 0)::bigint AS captured,
    coalesce((
        SELECT sum(r.amount) FROM refund r WHERE r.order_id = p.order_id AND r.state IN ('sent', 'by_hand', 'succeeded')
    ), 0)::bigint AS going_back,
    coalesce((SELECT sum(r.amount) FROM refund r WHERE r.order_id = p.order_id AND r.state = 'failed'), 0)::bigint AS failed
FROM payment p
"""
_CONSIGNMENTS = "SELECT order_id, state FROM consignment"
_FILES = "SELECT order_id, stage FROM order_file"
_PURCHASES = "SELECT order_id FROM purchase"
# The stored answers to POST /v1/orders and /v1/orders:import: every 2xx that a caller has seen, for as long as keys are kept.
_ACKNOWLEDGED = """
SELECT convert_from(body, 'UTF8')::jsonb ->> 'id' AS order_id FROM idempotency_key
WHERE status BETWEEN 200 AND 299 AND scope LIKE '% POST /v1/orders'
UNION
SELECT e ->> 'id' FROM idempotency_key
CROSS JOIN LATERAL jsonb_array_elements(convert_from(body, 'UTF8')::jsonb -> 'data') e
WHERE status BETWEEN 200 AND 299 AND scope LIKE '% POST /v1/orders:import' AND e ->> 'id' IS NOT NULL
"""
_PLACED = "SELECT DISTINCT key AS order_id FROM stream_head WHERE topic = 'orders.order.v1'"
_RETURNS = """
SELECT c.id, c.order_id, c.state, c.restock, c.refund, c.refunded_amount,
    coalesce((SELECT sum(l.quantity) FROM receipt_line l WHERE l.return_id = c.id AND l.grade = 'sellable'), 0)::bigint AS sellable
FROM return_case c
"""
_RETURN_REFUNDS = """
SELECT return_id, sum(amount)::bigint AS refunded FROM refund
WHERE return_id <> '' AND state = 'succeeded' GROUP BY return_id
"""
_BY_HAND = "SELECT DISTINCT return_id FROM refund WHERE return_id <> '' AND state = 'by_hand'"
_RESTOCKED = """
SELECT cause AS return_id, sum(on_hand)::bigint AS units FROM movement WHERE kind = 'restocked' GROUP BY cause
"""
_PRODUCTS = "SELECT sku, version, status FROM product"
_OFFERS = "SELECT sku, version, withdrawn FROM offer"

# What the other services' states may be at rest, by the order's own. What holds an order is told apart by `held`.
_STOCK_OF_STATUS: Mapping[str, frozenset[str]] = {
    "placed": frozenset({"held", "waiting", "expired", "broken"}),
    "confirmed": frozenset({"committed", "consumed"}),
    "completed": frozenset({"consumed"}),
    "rejected": frozenset({"refused", "released", "expired", "broken"}),
    "cancelled": frozenset({"refused", "released", "expired", "broken"}),
}
_STOCK_WHEN_HELD = frozenset({"waiting", "broken", "refused"})
_NOTHING: frozenset[str] = frozenset()
_PAYMENT_OF_STATUS: Mapping[str, frozenset[str]] = {
    "placed": frozenset({"authorising", "action_required", "authorised", "captured"}),
    "confirmed": frozenset({"authorised", "renewing", "captured"}),
    "completed": frozenset({"captured"}),
    "rejected": frozenset({"declined", "voided", "captured"}),
    "cancelled": frozenset({"declined", "voided", "captured"}),
}
_PAYMENT_OF_PAYMENT_STATUS: Mapping[str, frozenset[str]] = {
    "requested": frozenset({"authorising"}),
    "action_required": frozenset({"action_required"}),
    "unknown": frozenset({"authorising"}),
    "authorised": frozenset({"authorised", "renewing"}),
    "declined": frozenset({"declined"}),
    "captured": frozenset({"captured"}),
    "voided": frozenset({"voided"}),
    "partially_refunded": frozenset({"captured"}),
    "refunded": frozenset({"captured"}),
}
_SHIPMENT_OF_FULFILMENT: Mapping[str, frozenset[str]] = {
    "unfulfilled": frozenset({"awaiting", "addressing", "labelling", "stuck", "cancelled"}),
    "booked": frozenset({"booked"}),
    "dispatched": frozenset({"dispatched"}),
    "exception": frozenset({"stuck", "booked", "dispatched"}),
    "delivered": frozenset({"delivered"}),
    "lost": frozenset({"lost"}),
    "cancelled": frozenset({"cancelled"}),
}
_HANDED_OVER = frozenset({"dispatched", "delivered", "lost"})


async def agree_with_stock(books: Books) -> Finding:
    """A confirmed order holds its goods or has had them, an ended one holds nothing."""
    reservations = await books.by_key("inventory", _RESERVATIONS)

    def wrong(order: Row) -> str:
        status = str(reservations[order["order_id"]]["status"]) if order["order_id"] in reservations else "unseen"
        allowed = _STOCK_OF_STATUS[order["status"]] | (_STOCK_WHEN_HELD if order["held"] else _NOTHING)
        return "" if status in allowed else f"is {order['status']}, its reservation {status}"

    orders = await books.read("orders", _ORDERS)
    strangers = reservations.keys() - {order["order_id"] for order in orders}
    finding = _each((await Stuck.of(books)).others(orders), wrong)
    return finding.add(
        0, (f"inventory holds a reservation of {order_id}, which orders has not" for order_id in sorted(strangers))
    )


async def agree_with_payment(books: Books) -> Finding:
    """Who got goods paid, who got none has the money back, and the amount is the order's total."""
    payments = await books.by_key("payments", _PAYMENTS)

    def wrong(order: Row) -> str:
        payment = payments.get(order["order_id"])
        return _wrong_without_payment(order) if payment is None else _wrong_payment(order, payment)

    orders = await books.read("orders", _ORDERS)
    strangers = payments.keys() - {order["order_id"] for order in orders}
    finding = _each((await Stuck.of(books)).others(orders), wrong)
    return finding.add(
        0, (f"payments has a payment of {order_id}, which orders has not" for order_id in sorted(strangers))
    )


def _wrong_without_payment(order: Row) -> str:
    if order["status"] in ("confirmed", "completed") or order["payment_status"] != "none":
        return f"is {order['status']} and {order['payment_status']}, and payments has no payment"
    return ""


def _wrong_payment(order: Row, payment: Row) -> str:
    if payment["attention"] and not payment["attention"].startswith("refund."):
        return ""  # it was charged otherwise than asked, and a person must look: the audit lists it
    state, status, payment_status = payment["state"], order["status"], order["payment_status"]
    if state not in _PAYMENT_OF_STATUS[status] or state not in _PAYMENT_OF_PAYMENT_STATUS.get(
        payment_status, frozenset()
    ):
        return f"is {status} and {payment_status}, its payment {state}"
    if (payment["amount"], payment["currency"]) != (order["total"], order["currency"]):
        return (
            f"comes to {order['total']} {order['currency']}, its payment to {payment['amount']} {payment['currency']}"
        )
    kept = payment["captured"] - payment["going_back"]
    # What a refund did not bring, perhaps more than once, or in part, somebody must pay: the audit lists that.
    owed = 0 < kept <= payment["failed"]
    if status in ("rejected", "cancelled") and kept and not owed:
        return f"is {status}, and {kept} {payment['currency']} of it are kept"
    return ""


async def agree_with_shipment(books: Books) -> Finding:
    """The parcels are where orders says, and nothing of an ended order left the building."""
    consignments = await books.by_key("logistics", _CONSIGNMENTS)

    def wrong(order: Row) -> str:
        consignment = consignments.get(order["order_id"])
        state = str(consignment["state"]) if consignment is not None else "awaiting"
        if state not in _SHIPMENT_OF_FULFILMENT[order["fulfilment_status"]]:
            return f"is {order['fulfilment_status']}, its shipment {state}"
        if order["status"] in ("rejected", "cancelled") and state in _HANDED_OVER:
            return f"is {order['status']}, and its parcels are {state}"
        return "" if order["status"] != "completed" or state == "delivered" else f"is completed, its shipment {state}"

    return _each((await Stuck.of(books)).others(await books.read("orders", _ORDERS)), wrong)


async def goods_left_with_their_parcel(books: Books) -> Finding:
    """Stock is consumed exactly when the carrier has the parcels."""
    consignments = await books.read("logistics", _CONSIGNMENTS)
    reservations = await books.by_key("inventory", _RESERVATIONS)

    def wrong(consignment: Row) -> str:
        reservation = reservations.get(consignment["order_id"])
        consumed = reservation is not None and reservation["status"] == "consumed"
        gone = consignment["state"] in _HANDED_OVER
        if gone == consumed:
            return ""
        return f"has a shipment that is {consignment['state']}, and its stock is {'' if consumed else 'not '}consumed"

    return _each((await Stuck.of(books)).others(consignments), wrong)


async def acknowledged_are_there(books: Books) -> Finding:
    """Every order that a caller was told about exists, and was announced."""
    there = await books.by_key("orders", _ORDERS)
    announced = {row["order_id"] for row in await books.read("orders", _PLACED)}
    acknowledged = await books.read("orders", _ACKNOWLEDGED)
    finding = Finding().add(
        len(acknowledged),
        (
            f"{row['order_id']} was acknowledged and is not there"
            for row in acknowledged
            if row["order_id"] not in there
        ),
    )
    return finding.add(len(there), (f"{order_id} was never announced" for order_id in sorted(there.keys() - announced)))


async def known_everywhere(books: Books) -> Finding:
    """Inventory, risk, logistics and support have heard of every order."""
    stuck = await Stuck.of(books)
    there = {order["order_id"] for order in stuck.others(await books.read("orders", _ORDERS))}
    finding = Finding()
    for service, sql in (
        ("inventory", _RESERVATIONS),
        ("risk", _FILES),
        ("logistics", _CONSIGNMENTS),
        ("support", _PURCHASES),
    ):
        if books.has([service]):
            known = await books.by_key(service, sql)
            missing = sorted(there - known.keys())
            finding.add(len(there), (f"{service} has never heard of {order_id}" for order_id in missing))
    return finding


async def returns_agree(books: Books) -> Finding:
    """What support calls refunded was refunded, what it calls restocked is on the shelf, each as much as it says."""
    refunds = await books.by_key("payments", _RETURN_REFUNDS, "return_id")
    restocked = await books.by_key("inventory", _RESTOCKED, "return_id")
    by_hand = await books.by_key("payments", _BY_HAND, "return_id")  # cash: a person pays it, and the audit lists that

    def wrong(claim: Row) -> str:
        paid = refunds.get(claim["id"], {}).get("refunded", 0)
        if (claim["refunded_amount"] or 0) != paid:
            return f"return {claim['id']} has {claim['refunded_amount'] or 0} refunded, payments {paid}"
        units = restocked.get(claim["id"], {}).get("units", 0)
        expected = claim["sellable"] if claim["restock"] == "restocked" else 0
        if claim["restock"] == "pending" or units != expected:
            return f"return {claim['id']} is {claim['restock']} with {claim['sellable']} sellable units, inventory has {units}"
        waits = claim["refund"] == "pending" and claim["id"] not in by_hand
        return f"return {claim['id']} waits for its refund" if waits else ""

    return _each((await Stuck.of(books)).others(await books.read("support", _RETURNS)), wrong)


async def offers_are_the_catalog(books: Books) -> Finding:
    """Orders prices from the newest version of every product."""
    products = await books.by_key("catalog", _PRODUCTS, "sku")
    offers = await books.by_key("orders", _OFFERS, "sku")
    skus = (products.keys() | offers.keys()) - (await Stuck.of(books)).subjects
    finding = Finding(checked=len(skus))
    for sku in sorted(skus):
        product, offer = products.get(sku), offers.get(sku)
        there = (product["version"], product["status"] == "withdrawn") if product else None
        here = (offer["version"], offer["withdrawn"]) if offer else None
        if here != there:
            finding.violations.append(f"{sku}: catalog has (version, withdrawn) {there}, orders {here}")
    return finding


def _each(rows: Iterable[Row], wrong: Callable[[Row], str]) -> Finding:
    finding = Finding()
    for row in rows:
        finding.checked += 1
        if why := wrong(row):
            finding.violations.append(f"{row['order_id']} {why}")
    return finding


CHECKS = (
    Check("orders.agree_with_stock", "orders and stock agree", ("orders", "inventory"), agree_with_stock),
    Check("orders.agree_with_payment", "orders and payments agree", ("orders", "payments"), agree_with_payment),
    Check("orders.agree_with_shipment", "orders and shipments agree", ("orders", "logistics"), agree_with_shipment),
    Check(
        "shipments.agree_with_stock",
        "goods left the stock with their parcel",
        ("inventory", "logistics"),
        goods_left_with_their_parcel,
    ),
    Check("orders.acknowledged_are_there", "every acknowledged order is there", ("orders",), acknowledged_are_there),
    Check("orders.known_everywhere", "every service has heard of every order", ("orders",), known_everywhere),
    Check(
        "returns.agree",
        "returns, refunds and restocked goods agree",
        ("support", "payments", "inventory"),
        returns_agree,
    ),
    Check(
        "offers.are_the_catalog",
        "orders prices from the catalog's newest word",
        ("catalog", "orders"),
        offers_are_the_catalog,
    ),
)
