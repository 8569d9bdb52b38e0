"""Which purchase a cancellation sends back."""

from dataclasses import replace
from decimal import Decimal

from freeport.replay.export import Row
from freeport.replay.goods import Goods, GoodsMap
from freeport.replay.lines import judge
from freeport.replay.plan import make_plan
from freeport.replay.returning import Fate, Match, match_cancellations

SALE = Row(2, "1", "A", "MUG", "6", "2010-12-01 08:26", "2.55", "17850", "United Kingdom")
BACK = replace(SALE, invoice="C1", quantity="-2", date="2010-12-05 09:00")


def matched(*rows: Row, **fates: Fate) -> list[Match]:
    """`fates` by invoice as n1=…; an invoice that is not named was sent."""
    numbered = [replace(row, number=number) for number, row in enumerate(rows, start=2)]
    plan = make_plan(judge(numbered), GoodsMap((), Goods(category="")), Decimal(1))
    known = {invoice.number: fates.get(f"n{invoice.number}", Fate.SENT) for invoice in plan.invoices}
    return match_cancellations(plan.invoices, known, plan.cancellations)


def portions(match: Match) -> list[tuple[str, int]]:
    return [(portion.invoice, portion.quantity) for portion in match.portions]


def test_a_cancellation_sends_back_a_part_of_what_was_bought() -> None:
    [match] = matched(SALE, BACK)
    assert portions(match) == [("1", 2)]


def test_the_newest_purchase_goes_back_first() -> None:
    [match] = matched(SALE, replace(SALE, invoice="2", date="2010-12-02"), BACK)
    assert portions(match) == [("2", 2)]


def test_a_purchase_at_the_same_price_goes_before_a_newer_one() -> None:
    [match] = matched(SALE, replace(SALE, invoice="2", date="2010-12-02", price="9.99"), BACK)
    assert portions(match) == [("1", 2)]


def test_one_cancellation_may_send_back_several_purchases() -> None:
    [match] = matched(SALE, replace(SALE, invoice="2", date="2010-12-02"), replace(BACK, quantity="-8"))
    assert portions(match) == [("2", 6), ("1", 2)]


def test_units_go_back_once() -> None:
    first, second = matched(SALE, replace(BACK, quantity="-6"), replace(BACK, invoice="C2"))
    assert portions(first) == [("1", 6)]
    assert second.portions == ()
    assert "only 0 left" in second.why


def test_what_was_bought_later_cannot_be_sent_back() -> None:
    [match] = matched(replace(SALE, date="2010-12-06"), BACK)
    assert "before the file" in match.why


def test_what_was_bought_before_the_file_cannot_be_sent_back() -> None:
    [match] = matched(replace(SALE, sku="22423"), BACK)
    assert "before the file" in match.why


def test_another_customers_purchase_stays_with_that_customer() -> None:
    [match] = matched(replace(SALE, customer="1"), BACK)
    assert match.portions == ()


def test_a_cancellation_without_a_customer_sends_nothing_back() -> None:
    [match] = matched(replace(SALE, customer=""), replace(BACK, customer=""))
    assert "names no customer" in match.why


def test_more_than_was_bought_is_not_sent_back_in_part() -> None:
    [match] = matched(SALE, replace(BACK, quantity="-7"))
    assert match.portions == ()
    assert "cancels 7" in match.why
    assert "only 6" in match.why


def test_a_refused_order_has_nothing_to_send_back() -> None:
    [match] = matched(SALE, BACK, n1=Fate.REFUSED)
    assert "was refused" in match.why


def test_a_held_order_has_not_left() -> None:
    [match] = matched(SALE, BACK, n1=Fate.WAITING)
    assert "has not left" in match.why


def test_what_was_sent_goes_back_when_another_order_was_refused() -> None:
    [match] = matched(SALE, replace(SALE, invoice="2", date="2010-12-02"), BACK, n2=Fate.REFUSED)
    assert portions(match) == [("1", 2)]
