"""Orders, goods and stock, decided from the lines alone."""

from dataclasses import replace
from decimal import Decimal

from freeport.replay.export import Row
from freeport.replay.goods import GIFTWARE, load_goods
from freeport.replay.lines import Kind, judge
from freeport.replay.plan import Plan, make_plan

GOODS = load_goods(GIFTWARE, origin="CN", weight_grams=300)
SALE = Row(2, "1", "A", "MUG", "6", "2010-12-01 08:26", "2.55", "17850", "United Kingdom")


def planned(*rows: Row, factor: str = "1") -> Plan:
    numbered = [replace(row, number=number) for number, row in enumerate(rows, start=2)]
    return make_plan(judge(numbered), GOODS, Decimal(factor))


def test_the_lines_of_an_invoice_make_one_order() -> None:
    plan = planned(SALE, replace(SALE, sku="22423"), replace(SALE, invoice="2"))
    assert [[line.sku for line in invoice.lines] for invoice in plan.invoices] == [["A", "22423"], ["A"]]


def test_the_same_sku_twice_in_an_invoice_is_two_lines_and_one_demand() -> None:
    plan = planned(SALE, replace(SALE, quantity="4", price="2.00"))
    assert len(plan.invoices[0].lines) == 2
    assert plan.articles[0].stock == 10


def test_orders_go_in_by_their_time() -> None:
    plan = planned(replace(SALE, invoice="9", date="2010-12-02"), SALE, replace(SALE, invoice="0", date="2010-12-02"))
    assert [invoice.number for invoice in plan.invoices] == ["1", "0", "9"]


def test_stock_is_the_ceiling_of_the_factor_times_the_units_demanded_exactly() -> None:
    stock = {
        factor: planned(replace(SALE, quantity="10"), factor=factor).articles[0].stock
        for factor in ("0.9", "0.91", "1.1", "0")
    }
    assert stock == {"0.9": 9, "0.91": 10, "1.1": 11, "0": 0}  # 1.1 times 10 is 11.000000000000002 in floats


def test_unusable_lines_and_cancellations_demand_nothing() -> None:
    plan = planned(SALE, replace(SALE, price="0", quantity="100"), replace(SALE, invoice="C2", quantity="-6"))
    assert plan.articles[0].stock == 6
    assert [line.invoice for line in plan.cancellations] == ["C2"]


def test_a_line_to_another_country_than_its_invoice_is_unusable() -> None:
    plan = planned(SALE, replace(SALE, sku="22423", country="France"))
    assert plan.lines[1].kind is Kind.UNUSABLE
    assert "GB" in plan.lines[1].why
    assert [article.sku for article in plan.articles] == ["A"]


def test_goods_are_called_by_their_commonest_description() -> None:
    plan = planned(SALE, replace(SALE, description=""), replace(SALE, description="MUG?"), SALE)
    assert plan.articles[0].title == "MUG"


def test_goods_without_any_description_are_called_by_their_code() -> None:
    assert planned(replace(SALE, description="")).articles[0].title == "A"


def test_a_customer_is_found_on_any_line_of_the_invoice() -> None:
    assert planned(replace(SALE, customer=""), replace(SALE, sku="22423")).invoices[0].customer == "17850"
