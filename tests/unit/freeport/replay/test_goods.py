"""What a description tells about goods."""

from pathlib import Path

import pytest

from freeport.replay.goods import GIFTWARE, Goods, GoodsError, GoodsMap, load_goods


def own(tmp_path: Path, text: str) -> GoodsMap:
    path = tmp_path / "goods.toml"
    path.write_text(text)
    return load_goods(path, origin="CN", weight_grams=300)


@pytest.mark.parametrize(
    ("description", "hs_code"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "940550"),
        ("SET/10 RED POLKADOT PARTY CANDLES", "340600"),
        ("JUMBO BAG RED RETROSPOT", "420292"),
        ("ALARM CLOCK BAKELIKE CHOCOLATE", "910519"),
        ("PLASTERS IN TIN CIRCUS PARADE ", "300510"),
        ("60 TEATIME FAIRY CAKE CASES", "482369"),
    ],
)
def test_giftware_is_classified_by_its_name(description: str, hs_code: str) -> None:
    assert load_goods(GIFTWARE, origin="CN", weight_grams=300).of(description).hs_code == hs_code


def test_what_no_rule_knows_has_no_customs_code_but_the_defaults() -> None:
    goods = load_goods(GIFTWARE, origin="IN", weight_grams=250).of("XYZZY")
    assert goods == Goods(category="unclassified", hs_code="", origin="IN", weight_grams=250)


def test_the_first_rule_wins_and_words_match_whole_with_or_without_plural(tmp_path: Path) -> None:
    goods = own(tmp_path, '[[goods]]\ncategory = "a"\nwords = ["pen"]\n[[goods]]\ncategory = "b"\nwords = ["pencil"]\n')
    assert [goods.of(text).category for text in ("Two PENS", "pencil pen", "A Pencil", "open")] == [
        "a",
        "a",
        "b",
        "unclassified",
    ]


def test_an_entry_of_ones_own_may_say_origin_and_flags(tmp_path: Path) -> None:
    goods = own(
        tmp_path,
        '[[goods]]\ncategory = "torch"\nwords = ["torch"]\nhs = "851310"\norigin = "JP"\nflags = ["battery"]\n',
    )
    assert goods.of("torch") == Goods(
        category="torch", hs_code="851310", origin="JP", weight_grams=300, flags=goods.of("torch").flags
    )
    assert [flag.value for flag in goods.of("torch").flags] == ["battery"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no \\[\\[goods\\]\\] entry"),
        ("[[goods", "goods.toml"),
        ('[[goods]]\ncategory = "a"\nwords = []', "entry 1: words"),
        ('[[goods]]\ncategory = "a"\nwords = "mug"', "entry 1: words"),
        ('[[goods]]\nwords = ["a"]', "entry 1: 'category'"),
        ('[[goods]]\ncategory = "a"\nwords = ["a"]\nhs = "69"', "hs '69'"),
        ('[[goods]]\ncategory = "a"\nwords = ["a"]\norigin = "China"', "origin 'China'"),
        ('[[goods]]\ncategory = "a"\nwords = ["a"]\nflags = ["sharp"]', "sharp"),
    ],
)
def test_a_goods_file_that_is_wrong_says_where(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(GoodsError, match=why):
        own(tmp_path, text)
