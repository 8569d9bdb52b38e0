"""Placing an order: prices, totals, quotes, and every way to be refused."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.domain.order import SILENCE
from services.orders.domain.patience import USUAL
from services.orders.domain.pricing import MOST, Wish
from services.orders.usecases.place_order import PlaceOrder, place_order
from shared.contracts.orders import OrderPlaced
from shared.contracts.values import Destination, Incoterm, ServiceLevel
from shared.effects import Deadline, Reply
from shared.errors import Refusal
from shared.ids import is_id
from shared.money import Money, total
from shared.quote import QuoteClaims, lines_hash
from tests.builders import orders as b

QUOTE = QuoteClaims(
    quote_id="quo_1",
    store=b.STORE,
    market="DE",
    destination=Destination(country="DE", postal_area="105"),
    lines_hash=lines_hash([("MUG", 2)]),
    currency="EUR",
    shipping=Money(490, "EUR"),
    duties=Money(0, "EUR"),
    taxes=Money(93, "EUR"),
    fees=Money(10, "EUR"),
    incoterm=Incoterm.DDP,
    service=ServiceLevel.EXPRESS,
    expires_at=b.NOON + timedelta(minutes=15),
)


def placed(command: PlaceOrder, *offers: Any) -> OrderPlaced:
    decision = place_order(command, b.a_book(*offers), b.a_moment())
    assert not isinstance(decision, Refusal), decision
    return next(effect for effect in decision if isinstance(effect, OrderPlaced))


def refusal(command: PlaceOrder, *offers: Any) -> Refusal:
    book = b.a_book(*offers)
    decision = place_order(command, book, b.a_moment())
    assert isinstance(decision, Refusal)
    assert not book.changed, "a refusal changes nothing"
    return decision


def test_the_catalogs_price_is_what_the_buyer_pays() -> None:
    event = placed(b.a_place_order())
    assert [(line.sku, line.unit_price, line.total) for line in event.lines] == [("MUG", Money(1_299, "EUR"), b.TOTAL)]
    assert (event.totals.goods, event.totals.total) == (b.TOTAL, b.TOTAL)


def test_the_id_follows_from_the_command_and_the_number_from_the_id() -> None:
    first, again = placed(b.a_place_order()), placed(b.a_place_order())
    assert is_id(first.order_id, "ord")
    assert (first.order_id, first.number) == (again.order_id, again.number)


def test_an_order_is_announced_answered_and_watched() -> None:
    decision = place_order(b.a_place_order(), b.a_book(), b.a_moment())
    assert not isinstance(decision, Refusal)
    placed_event, deadline, reply = decision
    assert isinstance(placed_event, OrderPlaced)
    assert deadline == Deadline(SILENCE, placed_event.order_id, b.NOON + USUAL.ask)
    assert reply == Reply({"id": placed_event.order_id}, status=201)


def test_no_name_or_address_leaves_in_the_event() -> None:
    told = repr(placed(b.a_place_order()))
    for secret in ("Erika", "Mustermann", "erika@", "901820", "Heidestr", "10557", "Berlin"):
        assert secret not in told


@pytest.mark.parametrize(
    ("offer", "code"),
    [
        (b.an_offer("OTHER"), "product.unknown"),
        (b.an_offer(store_id="str_other"), "product.unknown"),
        (b.an_offer(withdrawn=True), "product.withdrawn"),
        (b.an_offer(market="JP"), "product.not_sold_here"),
    ],
)
def test_what_is_not_sold_here_is_refused_with_its_reason(offer: Any, code: str) -> None:
    assert refusal(b.a_place_order(), offer).code == code


def test_every_line_that_is_wrong_is_named_at_once() -> None:
    command = b.a_place_order(wishes=(Wish("MUG", 1), Wish("GONE", 1), Wish("NOWHERE", 1)))
    found = refusal(command, b.an_offer(), b.an_offer("GONE", withdrawn=True))
    assert [problem["code"] for problem in found.facts["problems"]] == ["product.withdrawn", "product.unknown"]


def test_a_market_with_two_currencies_sells_in_its_own_unless_asked() -> None:
    offer = b.an_offer(prices={"DE": (Money(1_299, "EUR"), Money(1_399, "USD"))})
    assert placed(b.a_place_order(), offer).totals.total == Money(2_598, "EUR")
    assert placed(b.a_place_order(currency="USD"), offer).totals.total == Money(2_798, "USD")
    assert refusal(b.a_place_order(currency="JPY"), offer).code == "product.not_sold_here"


def test_lines_in_two_currencies_make_no_total() -> None:
    tea = b.an_offer("TEA", prices={"DE": (Money(500, "USD"),)})
    command = b.a_place_order(wishes=(Wish("MUG", 1), Wish("TEA", 1)))
    assert refusal(command, b.an_offer(), tea).code == "order.mixed_currencies"


def test_another_total_than_the_buyer_saw_is_told_with_both() -> None:
    found = refusal(b.a_place_order(expected_total=Money(2_500, "EUR")))
    assert found.code == "order.total_changed"
    assert found.facts == {"expected_total": Money(2_500, "EUR"), "total": b.TOTAL}
    assert placed(b.a_place_order(expected_total=b.TOTAL)).totals.total == b.TOTAL


def test_a_total_beyond_any_order_is_refused() -> None:
    command = b.a_place_order(wishes=(Wish("MUG", 1_000_000),))
    assert refusal(command, b.an_offer(amount=MOST)).code == "order.total_out_of_range"


def test_the_quote_adds_its_costs_and_its_terms() -> None:
    event = placed(b.a_place_order(quote=QUOTE))
    assert event.totals.total == Money(2_598 + 490 + 93 + 10, "EUR")
    assert (event.incoterm, event.service, event.quote_id) == (Incoterm.DDP, ServiceLevel.EXPRESS, "quo_1")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"store": "str_other"}, "quote.other_store"),
        ({"market": "AT"}, "quote.other_market"),
        ({"destination": Destination(country="DE", postal_area="106")}, "quote.other_destination"),
        ({"destination": Destination(country="AT", postal_area="105")}, "quote.other_destination"),
        ({"destination": Destination(country="DE", region="BE", postal_area="105")}, "quote.other_destination"),
        ({"lines_hash": lines_hash([("MUG", 3)])}, "quote.other_lines"),
        ({"currency": "USD"}, "quote.other_currency"),
        ({"expires_at": b.NOON}, "quote.expired"),
    ],
)
def test_every_binding_of_a_quote_is_checked(changes: dict[str, Any], code: str) -> None:
    assert refusal(b.a_place_order(quote=replace(QUOTE, **changes))).code == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"incoterm": Incoterm.DAP}, "quote.other_incoterm"), ({"service": ServiceLevel.ECONOMY}, "quote.other_service")],
)
def test_terms_that_the_order_states_must_be_the_quotes(changes: dict[str, Any], code: str) -> None:
    assert refusal(b.a_place_order(quote=QUOTE, **changes)).code == code


LINES = st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10_000)), min_size=1, max_size=20)


@given(LINES)
def test_lines_always_add_up_to_the_total(lines: list[tuple[int, int]]) -> None:
    offers = [b.an_offer(f"SKU{n}", amount=amount) for n, (amount, _) in enumerate(lines)]
    wishes = tuple(Wish(f"SKU{n}", quantity) for n, (_, quantity) in enumerate(lines))
    event = placed(b.a_place_order(wishes=wishes), *offers)
    assert event.totals.goods == total((line.total for line in event.lines), "EUR")
    t = event.totals
    assert t.total == t.goods + t.shipping + t.duties + t.taxes + t.fees
