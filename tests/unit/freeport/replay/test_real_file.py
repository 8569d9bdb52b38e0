"""The real export, with its oddities. Skips where the data is not beside the checkout."""

import csv
import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from freeport.replay.account import Bucket
from freeport.replay.export import read_file
from freeport.replay.goods import GIFTWARE, load_goods
from freeport.replay.lines import Kind, Line, judge
from freeport.replay.plan import Plan, make_plan
from freeport.replay.returning import Fate, match_cancellations
from freeport.replay.settle import Decision, settle

DATA = Path(__file__).parents[5] / "shared" / "data"
EXPORT = DATA / "online_retail_2010-12_2011-03.csv.gz"
NOMENCLATURE = DATA / "harmonized-system-2022.csv.gz"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not EXPORT.exists(), reason=f"there is no {EXPORT.name} in {DATA.name} beside the checkout"),
]


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    return list(judge(read_file(EXPORT)))


@pytest.fixture(scope="module")
def plan(lines: list[Line]) -> Plan:
    return make_plan(lines, load_goods(GIFTWARE, origin="CN", weight_grams=300), Decimal(1))


def test_every_line_is_judged(lines: list[Line]) -> None:
    kinds = {kind: sum(line.kind is kind for line in lines) for kind in Kind}
    assert kinds == {Kind.SALE: 138_034, Kind.CANCELLATION: 2_437, Kind.NOT_MERCHANDISE: 828, Kind.UNUSABLE: 784}


def test_its_orders_go_to_32_countries(plan: Plan) -> None:
    assert len({line.country for line in plan.lines}) == 32


def test_the_account_of_the_whole_file_balances(plan: Plan) -> None:
    # Every seventh order refused, every fifth of the others held: no platform, only the arithmetic.
    fates = {
        invoice.number: Decision(Fate.REFUSED, "stock.insufficient")
        if n % 7 == 0
        else Decision(Fate.WAITING if n % 5 == 0 else Fate.SENT)
        for n, invoice in enumerate(plan.invoices)
    }
    matches = match_cancellations(
        plan.invoices, {n: decision.fate for n, decision in fates.items()}, plan.cancellations
    )
    account = settle(plan, fates, {match.line.number: match.why for match in matches})
    assert account.total.balanced
    assert all(total.balanced for total in account.countries.values())
    assert all(account.total.ends[bucket].lines for bucket in Bucket)


def test_most_goods_have_a_customs_code_and_the_rest_will_be_held(plan: Plan) -> None:
    coded = sum(bool(article.goods.hs_code) for article in plan.articles)
    assert 0.95 < coded / len(plan.articles) < 1


def test_every_code_of_the_giftware_file_exists_in_the_harmonized_system() -> None:
    with gzip.open(NOMENCLATURE, "rt", newline="") as text:
        codes = {row["hscode"] for row in csv.DictReader(text)}
    goods = load_goods(GIFTWARE, origin="CN", weight_grams=300)
    assert [rule.goods.hs_code for rule in goods.rules if rule.goods.hs_code not in codes] == []
