"""Importing what channels have sold: each order on its own, and never twice."""

from datetime import timedelta
from typing import Any

import pytest

from services.orders.domain.pricing import Wish
from services.orders.usecases.import_orders import ImportedOrder, ImportOrders, import_orders, imported_order_id
from shared.contracts.orders import OrderPlaced
from shared.contracts.values import Incoterm
from shared.effects import Reply
from shared.errors import Refusal
from shared.money import Money
from tests.builders import orders as b


def imported(*orders: ImportedOrder, book: Any = None) -> tuple[list[dict[str, Any]], list[OrderPlaced]]:
    decision = import_orders(ImportOrders(store_id=b.STORE, orders=orders), book or b.a_book(), b.a_moment())
    assert not isinstance(decision, Refusal)
    (reply,) = [effect for effect in decision if isinstance(effect, Reply)]
    return reply.body["data"], [effect for effect in decision if isinstance(effect, OrderPlaced)]


def test_the_channels_prices_rule() -> None:
    (result,), (placed,) = imported(b.an_imported_order())
    assert result["result"] == "created"
    assert (placed.totals.total, placed.channel, placed.external_id) == (
        Money(1_998, "EUR"),
        "bazaar",
        "302-1234567-1234567",
    )
    assert placed.placed_at == b.NOON - timedelta(hours=3)


def test_what_is_sold_is_not_refusable_and_what_is_asked_before_is() -> None:
    assert not imported(b.an_imported_order())[1][0].refusable
    assert imported(b.an_imported_order(presale=True))[1][0].refusable


def test_the_same_again_meets_the_first() -> None:
    book = b.a_book()
    (first,), _ = imported(b.an_imported_order(), book=book)
    (second,), placed = imported(b.an_imported_order(), book=book)
    assert (second["result"], second["id"], second["number"]) == ("existing", first["id"], first["number"])
    assert placed == []


def test_twins_in_one_request_make_one_order() -> None:
    results, placed = imported(b.an_imported_order(), b.an_imported_order())
    assert [result["result"] for result in results] == ["created", "existing"]
    assert len(placed) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"wishes": (Wish("MUG", 3, Money(999, "EUR")),)},
        {"placed_at": b.NOON},
        {"presale": True},
        {"incoterm": Incoterm.DDP},
        {"recipient": b.a_recipient()},
        {"shipping": Money(1, "EUR")},
    ],
)
def test_other_content_under_the_same_id_is_refused(changes: dict[str, Any]) -> None:
    book = b.a_book()
    imported(b.an_imported_order(), book=book)
    (result,), placed = imported(b.an_imported_order(**changes), book=book)
    assert (result["result"], result["code"]) == ("refused", "order.import_conflict")
    assert placed == []


def test_one_bad_order_spoils_no_other() -> None:
    results, placed = imported(
        b.an_imported_order(external_id="1"),
        b.an_imported_order(external_id="2", wishes=(Wish("NOBODY-KNOWS", 1, Money(1, "EUR")),)),
        b.an_imported_order(external_id="3", wishes=(Wish("MUG", 1, Money(1, "EUR")), Wish("MUG", 1, Money(1, "USD")))),
        b.an_imported_order(external_id="4"),
    )
    assert [(result["result"], result.get("code")) for result in results] == [
        ("created", None),
        ("refused", "product.unknown"),
        ("refused", "order.mixed_currencies"),
        ("created", None),
    ]
    assert len(placed) == 2


def test_what_was_sold_before_it_was_withdrawn_is_owed() -> None:
    (result,), _ = imported(b.an_imported_order(), book=b.a_book(b.an_offer(withdrawn=True)))
    assert result["result"] == "created"


def test_stores_and_channels_may_use_the_same_external_ids() -> None:
    ids = {
        imported_order_id(store, channel, external)
        for store in ("str_a", "str_b")
        for channel in ("x", "y")
        for external in ("1", "2")
    }
    assert len(ids) == 8


def test_shipping_that_the_channel_charged_is_part_of_the_total() -> None:
    _, (placed,) = imported(b.an_imported_order(shipping=Money(350, "EUR")))
    assert (placed.totals.shipping, placed.totals.total) == (Money(350, "EUR"), Money(2_348, "EUR"))


def test_shipping_in_another_currency_is_refused_and_not_added() -> None:
    (result,), placed = imported(b.an_imported_order(shipping=Money(350, "USD")))
    assert (result["result"], result["code"]) == ("refused", "order.mixed_currencies")
    assert placed == []
