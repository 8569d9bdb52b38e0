"""What needs a person though no invariant is broken: money that is owed, orders that are held, messages nobody could decide.

Each matter lists whom it is about, what is the matter, and what would settle it. None of it makes the audit fail.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from freeport.audit.books import Books, Row
from freeport.audit.check import SHOWN
from freeport.audit.streams import HALTED
from freeport.audit.stuck import LETTERS, Stuck
from shared.ids import derive_id

_HOLDS = """
SELECT order_id, code, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS since,
    (SELECT string_agg(r ->> 'message', '; ') FROM jsonb_array_elements(reasons) r) AS words,
    (SELECT string_agg(DISTINCT r ->> 'clears_with', '; ') FROM jsonb_array_elements(reasons) r
     WHERE r ->> 'clears_with' <> '') AS clears_with
FROM order_hold ORDER BY order_hold.since, order_id
"""
_ATTENTION = "SELECT order_id, state, attention FROM payment WHERE attention <> '' ORDER BY order_id"
_BY_HAND = "SELECT id, order_id, amount, currency FROM refund WHERE state = 'by_hand' ORDER BY requested_at, id"
# Every refund of the orders of which something failed, or met too little.
_REFUNDS = """
SELECT id, order_id, return_id, state, amount, asked, currency, failure_code FROM refund WHERE order_id IN (
    SELECT order_id FROM refund WHERE state = 'failed' OR asked IS NOT NULL
) ORDER BY requested_at, id
"""
_HELD_GOODS = "SELECT return_id, order_id, sku, warehouse, quantity FROM held_return ORDER BY return_id, sku"
_GOING_BACK = frozenset({"waiting", "sent", "by_hand", "succeeded"})
_ABOUT_REFUNDS = "refund."

_OF_PAYMENTS = {
    "payment.conflicted": "cancelling the order, which undoes what the provider charged; or the provider's correction",
    "payment.foreign_charge": "a refund at the provider's own desk; nobody here asked for this charge",
    "payment.promise_lost": "the dispatch, which charges anew; or cancelling the order",
    "payment.promise_expiring": "the dispatch before the promise ends; or a new order",
    "payment.charge_missing": "the provider's explanation",
    "refund.conflicted": "the provider's explanation of another amount than was asked; what lacks, paid otherwise",
}
_MONEY_OTHERWISE = "the money, collected another way"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that somebody must look at. `about` is an order, a return, a stream or a letter."""

    about: str
    says: str
    clears_with: str

    def as_json(self) -> dict[str, str]:
        return {"about": self.about, "says": self.says, "clears_with": self.clears_with}


@dataclass(frozen=True, slots=True)
class Matter:
    """A kind of thing that needs attention. `needs` are the services whose databases tell of it; without them it is left out."""

    name: str
    says: str
    needs: tuple[str, ...]
    find: Callable[[Books], Awaitable[list[Item]]]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found of a matter."""

    name: str
    says: str
    items: tuple[Item, ...]

    def as_json(self) -> dict[str, Any]:
        """`{"name", "count", "items": [{"about", "says", "clears_with"}]}`; the first 50 items are spelled out."""
        return {"name": self.name, "count": len(self.items), "items": [item.as_json() for item in self.items[:SHOWN]]}


async def attention(books: Books) -> list[Findings]:
    """What needs a person, matter by matter, those of which there is nothing too."""
    return [
        Findings(matter.name, matter.says, tuple(await matter.find(books)))
        for matter in MATTERS
        if books.has(matter.needs)
    ]


async def orders_held(books: Books) -> list[Item]:
    """Orders that wait for something or somebody that a rule knows."""
    return [_hold(row) for row in await books.read("orders", _HOLDS) if row["code"] != "needs_attention"]


async def orders_that_need_somebody(books: Books) -> list[Item]:
    """Orders of which no rule knows how they go on."""
    return [_hold(row) for row in await books.read("orders", _HOLDS) if row["code"] == "needs_attention"]


def _hold(row: Row) -> Item:
    says = f"{row['code']} since {row['since']}: {row['words']}"
    return Item(row["order_id"], says, row["clears_with"] or f"whatever clears {row['code']}")


async def payments_that_need_somebody(books: Books) -> list[Item]:
    """Payments that were charged otherwise than asked, or whose promise is gone; not those whose refund is listed as owed."""
    owed = {item.about for item in await refunds_owed(books)}
    return [
        Item(
            row["order_id"],
            f"its payment is {row['state']}: {row['attention']}",
            _OF_PAYMENTS.get(row["attention"], _MONEY_OTHERWISE),
        )
        for row in await books.read("payments", _ATTENTION)
        if not (row["attention"].startswith(_ABOUT_REFUNDS) and row["order_id"] in owed)
    ]


async def refunds_to_pay_by_hand(books: Books) -> list[Item]:
    """Cash that a person has to pay out."""
    return [
        Item(
            row["order_id"],
            f"{row['amount']} {row['currency']} wait to be paid out by hand ({row['id']})",
            f"paying it, then POST /v1/refunds/{row['id']}/payout",
        )
        for row in await books.read("payments", _BY_HAND)
    ]


async def refunds_owed(books: Books) -> list[Item]:
    """What buyers were to get back and have not got: refunds that failed, or met too little of the charge."""
    refunds = await books.read("payments", _REFUNDS)
    by_return: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in refunds:
        by_return[row["order_id"], row["return_id"]].append(row)
    return [item for (order, claim), rows in by_return.items() for item in _owed(order, claim, rows)]


def _owed(order_id: str, return_id: str, refunds: list[Row]) -> Iterable[Item]:
    if return_id:
        first = next((row for row in refunds if row["id"] == derive_id("rfd", return_id)), None)
        if first is None:
            return
        owed = (first["asked"] or first["amount"]) - sum(
            row["amount"] for row in refunds if row["state"] in _GOING_BACK and row["currency"] == first["currency"]
        )
        if owed > 0:
            words = f"{owed} {first['currency']} are owed for the return {return_id}"
            yield Item(order_id, words, f"POST /v1/refunds that names the return {return_id}, or paying it otherwise")
        return
    for row in refunds:
        if row["state"] == "failed":
            words = f"the refund {row['id']} of {row['amount']} {row['currency']} failed: {row['failure_code']}"
            yield Item(order_id, words, "another POST /v1/refunds, or paying it otherwise")


async def goods_held(books: Books) -> list[Item]:
    """Returned goods that no warehouse takes: the one that they arrived at is not known."""
    return [
        Item(
            row["return_id"],
            f"{row['quantity']} of {row['sku']} ({row['order_id']}) arrived at {row['warehouse']}, which is no warehouse",
            f"setting up the warehouse {row['warehouse']}, or moving the return to one that there is",
        )
        for row in await books.read("inventory", _HELD_GOODS)
    ]


async def streams_halted(books: Books) -> list[Item]:
    """Streams that stand still until a dead letter is settled."""
    letters = (await Stuck.of(books)).streams
    return [
        Item(
            row["key"],
            f"{service}: {row['what']} {row['topic']} is halted",
            f"settling the dead letter {letters.get((service, row['topic'], row['key']), 'that is missing')}",
        )
        for service in books.databases
        for row in await books.read(service, HALTED)
    ]


async def letters_open(books: Books) -> list[Item]:
    """Messages that could not be decided, with their error."""
    return [
        Item(
            letter["subject"],
            f"{service}: {letter['id']} ({letter['source']} {letter['topic']} #{letter['sequence']}): {letter['error']}",
            _OF_LETTERS.get(letter["source"], _REDRIVE).format(letter["id"]),
        )
        for service in books.databases
        for letter in await books.read(service, LETTERS)
    ]


_REDRIVE = "mending the cause, then `freeport dlq redrive {0}`; or `freeport dlq park {0} --reason …`"
_OF_LETTERS = {
    "gap": "its publisher's sending it again; or `freeport dlq park {0} --reason …`",
    "record": "`freeport dlq park {0} --reason …`: it cannot be read",
}

MATTERS = (
    Matter("orders.held", "orders that something holds", ("orders",), orders_held),
    Matter("orders.need_attention", "orders that need a person", ("orders",), orders_that_need_somebody),
    Matter("payments.need_attention", "payments that need a person", ("payments",), payments_that_need_somebody),
    Matter("refunds.to_pay_by_hand", "refunds that wait to be paid by hand", ("payments",), refunds_to_pay_by_hand),
    Matter("refunds.owed", "refunds that failed or met too little", ("payments",), refunds_owed),
    Matter("returns.goods_held", "returned goods that no warehouse takes", ("inventory",), goods_held),
    Matter("streams.halted", "streams that stand still", (), streams_halted),
    Matter("letters.open", "dead letters that are open", (), letters_open),
)
