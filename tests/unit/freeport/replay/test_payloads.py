"""What a replay sends."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from freeport.replay import payloads
from freeport.replay.export import Row
from freeport.replay.goods import Goods, GoodsMap
from freeport.replay.lines import Line, judge
from freeport.replay.plan import Article, make_plan

SALE = Row(2, "1", "A", "MUG", "6", "2010-12-01 08:26", "2.55", "17850", "United Kingdom")


def line(quantity: int, price: str) -> Line:
    [judged] = judge([replace(SALE, quantity=str(quantity), price=price)])
    return judged


@given(st.integers(1, 10_000), st.decimals(min_value="0.001", max_value=1000, places=4))
def test_order_lines_come_to_the_lines_value_and_units_exactly(quantity: int, price: Decimal) -> None:
    sold = line(quantity, str(price))
    parts = payloads.order_lines(sold)
    assert sum(part["quantity"] * int(part["unit_price"]["amount"]) for part in parts) == sold.value_minor
    assert sum(part["quantity"] for part in parts) == quantity
    assert len(parts) <= 2


def test_a_price_in_whole_pence_is_one_order_line() -> None:
    assert payloads.order_lines(line(6, "2.55")) == [
        {"sku": "A", "quantity": 6, "unit_price": {"amount": "255", "currency": "GBP"}}
    ]


def test_an_order_is_presale_and_paid_at_its_channel_under_the_invoices_number() -> None:
    plan = make_plan([line(6, "2.55")], GoodsMap((), Goods(category="")), Decimal(1))
    order = payloads.order(plan.invoices[0])
    assert (order["channel"], order["external_id"], order["presale"]) == ("online-retail", "1", True)
    assert order["payment"] == "collected_by_channel"
    assert order["placed_at"] == "2010-12-01T08:26:00+00:00"
    assert order["recipient"]["address"]["country"] == "GB"


def test_buyers_without_a_number_do_not_look_like_one_buyer() -> None:
    rows = [replace(SALE, invoice=invoice, customer="") for invoice in ("1", "2")]
    plan = make_plan(judge(rows), GoodsMap((), Goods(category="")), Decimal(1))
    first, second = (payloads.order(invoice)["recipient"] for invoice in plan.invoices)
    assert first["address"]["line1"] != second["address"]["line1"]


def test_goods_without_stock_are_not_delivered_and_batches_are_bounded() -> None:
    articles = [Article(f"S{n}", "t", 1, Goods(category=""), stock=n % 2) for n in range(1200)]
    sizes = [len(body["lines"]) for body in payloads.deliveries(articles, "W")]
    assert sizes == [500, 100]


def test_another_stock_goes_into_another_warehouse_and_the_same_into_the_same() -> None:
    articles = [Article("A", "t", 1, Goods(category=""), stock=5)]
    more = [replace(articles[0], stock=6)]
    codes = [payloads.warehouse_code("GB", which, Decimal(1)) for which in (articles, articles, more)]
    assert codes[0] == codes[1] != codes[2]
    assert len(codes[0]) <= 32
