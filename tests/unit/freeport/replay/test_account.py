"""Every line and every penny of a file is accounted for, whatever the file says and whatever becomes of its orders."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeport.replay.account import Account, BookedTwice, Bucket
from freeport.replay.export import Row
from freeport.replay.goods import Goods, GoodsMap
from freeport.replay.lines import Kind, Line, judge
from freeport.replay.plan import make_plan
from freeport.replay.returning import Fate, match_cancellations
from freeport.replay.settle import Decision, settle

SALE = Row(2, "1", "A", "MUG", "6", "2010-12-01 08:26", "2.55", "17850", "United Kingdom")
[LINE] = judge([SALE])


def test_an_account_balances_when_every_line_has_an_end() -> None:
    account = Account()
    account.read(LINE)
    assert not account.total.balanced
    account.end(LINE, Bucket.ACCEPTED)
    assert account.total.balanced


def test_an_account_with_a_penny_too_few_does_not_balance() -> None:
    account = Account()
    account.read(LINE)
    account.end(replace(LINE, value_minor=LINE.value_minor - 1), Bucket.ACCEPTED)
    assert not account.total.balanced


def test_an_account_with_the_right_sum_in_the_wrong_country_does_not_balance_there() -> None:
    account = Account()
    account.read(LINE)
    account.end(replace(LINE, country="FR"), Bucket.ACCEPTED)
    assert account.total.balanced
    assert not account.countries["GB"].balanced


def test_a_line_ends_once() -> None:
    account = Account()
    account.end(LINE, Bucket.ACCEPTED)
    with pytest.raises(BookedTwice):
        account.end(LINE, Bucket.REJECTED)


def test_an_undecided_order_leaves_the_account_open() -> None:
    plan = make_plan([LINE], GoodsMap((), Goods(category="")), Decimal(1))
    account = settle(plan, {}, {})
    assert account.total.read.lines == 1
    assert not account.total.balanced


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
rows = st.builds(
    Row,
    number=st.just(0),
    invoice=st.sampled_from(["1", "2", "3", "C1", "C2", "c3", ""]) | texts,
    sku=st.sampled_from(["A", "B", "POST", "m", "gift_0001_20", ""]) | texts,
    description=texts,
    quantity=st.integers(-20, 20).map(str) | st.sampled_from(["", "1.5", "9" * 20]),
    date=st.sampled_from(["2010-12-01 08:26", "2010-12-02 09:00", "12/3/2010 8:00", "", "x"]),
    price=st.decimals(-2, 20, places=3).map(str) | st.sampled_from(["0", "", "x", "0.001"]),
    customer=st.sampled_from(["17850", "17850.0", "2", ""]),
    country=st.sampled_from(["United Kingdom", "EIRE", "Unspecified", "France", ""]),
    ragged=st.booleans() | st.just(False),
)


def decisions() -> st.SearchStrategy[Decision]:
    accepted = st.sampled_from([Fate.SENT, Fate.WAITING]).map(lambda fate: Decision(fate))
    return accepted | st.sampled_from(["stock.insufficient", "customs.prohibited"]).map(
        lambda why: Decision(Fate.REFUSED, why)
    )


@given(st.lists(rows, max_size=30), st.data())
def test_what_is_read_is_what_became_of_it_to_the_penny(made: list[Row], data: st.DataObject) -> None:
    lines = list(judge(replace(row, number=number) for number, row in enumerate(made, start=2)))
    plan = make_plan(lines, GoodsMap((), Goods(category="")), Decimal(1))
    fates = {invoice.number: data.draw(decisions()) for invoice in plan.invoices}
    matches = match_cancellations(
        plan.invoices, {number: decision.fate for number, decision in fates.items()}, plan.cancellations
    )
    account = settle(plan, fates, {match.line.number: match.why for match in matches})
    assert account.total.balanced
    assert all(total.balanced for total in account.countries.values())
    assert account.total.read.lines == len(made)
    assert account.total.read.value_minor == sum(line.value_minor for line in lines)
    assert account.total.ends[Bucket.NOT_MERCHANDISE].lines == sum(line.kind is Kind.NOT_MERCHANDISE for line in lines)
    _assert_signs(account, lines)


def _assert_signs(account: Account, lines: list[Line]) -> None:
    assert account.total.ends[Bucket.RETURNED].value_minor <= 0
    assert account.total.ends[Bucket.ACCEPTED].value_minor >= 0
    assert account.total.ends[Bucket.REJECTED].value_minor >= 0
    assert len(account.unusable) == account.total.ends[Bucket.UNUSABLE].lines
    assert {number for number, _ in account.unusable} <= {line.number for line in lines}
    assert all(why for _, why in account.unusable)
