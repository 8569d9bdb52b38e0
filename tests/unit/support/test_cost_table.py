from pathlib import Path

import pytest

from services.support.cost_table import read_costs, return_costs
from shared.money import Money


def test_the_shipped_table_knows_near_and_far() -> None:
    costs = return_costs()
    near, union, far = (costs.estimate("EUR", buyer, {"DE"}) for buyer in ("DE", "FR", "GB"))
    assert near
    assert union
    assert far
    assert near < union < far


def test_the_dearest_way_counts_where_goods_came_from_several_places() -> None:
    costs = return_costs()
    assert costs.estimate("EUR", "DE", {"DE", "CN"}) == costs.estimate("EUR", "DE", {"CN"})


def test_a_seller_brings_a_table_of_their_own(tmp_path: Path) -> None:
    own = tmp_path / "costs.toml"
    own.write_text("[JPY]\ndomestic = 700\nregional = 1\noverseas = 5000\n")
    assert read_costs(own).estimate("JPY", "JP", {"JP"}) == Money(700, "JPY")


@pytest.mark.parametrize(
    "text",
    [
        "[EUR]\ndomestic = 1\n",
        "[EUR]\ndomestic = -1\nregional = 1\noverseas = 1\n",
        "[EUR]\nnear = 1\n",
        "EUR = 1\n",
        "[EUR\n",
    ],
)
def test_a_table_that_errs_is_refused_at_once(tmp_path: Path, text: str) -> None:
    own = tmp_path / "costs.toml"
    own.write_text(text)
    with pytest.raises(ValueError, match=r"costs\.toml"):
        read_costs(own)
