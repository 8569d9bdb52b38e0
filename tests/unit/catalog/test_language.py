import pytest

from services.catalog.domain.language import canonical_tag, choose, preferences


@pytest.mark.parametrize(
    ("written", "tag"),
    [("DE", "de"), ("pt-br", "pt-BR"), ("ZH-hant-tw", "zh-Hant-TW"), ("es-419", "es-419"), ("gsw", "gsw")],
)
def test_tags_are_written_as_the_standard_writes_them(written: str, tag: str) -> None:
    assert canonical_tag(written) == tag


@pytest.mark.parametrize("written", ["", "*", "d", "german", "de_DE", "de-", "de-DE-1996", "日本"])
def test_what_is_no_tag_is_none(written: str) -> None:
    assert canonical_tag(written) is None


def test_the_header_is_read_by_weight_and_order() -> None:
    assert preferences("fr;q=0.5, de-AT, en;q=0.8, it;q=0, *;q=0.1, broken;q=x") == ["de-AT", "en", "fr"]


@pytest.mark.parametrize("header", ["", ",,,", ";q=1", "de;q=2", "\x00", "de;q=-1"])
def test_a_broken_header_asks_for_nothing(header: str) -> None:
    assert preferences(header) == []


def test_a_hostile_header_is_read_only_so_far() -> None:
    assert len(preferences(",".join(["de"] * 100_000))) == 20


@pytest.mark.parametrize(
    ("wanted", "available", "market", "chosen"),
    [
        (["de-AT"], ["de", "en"], [], "de"),  # lookup shortens
        (["pt"], ["pt-BR", "en"], [], "pt-BR"),  # a sister of the same language
        (["fr"], ["de", "en"], ["de"], "de"),  # the market's language before English
        (["fr"], ["it", "en"], ["de"], "en"),
        (["fr"], ["nl", "it"], ["de"], "it"),
        (["zh-Hant-TW"], ["zh-Hans", "zh-Hant"], [], "zh-Hant"),
        ([], ["ja"], ["de"], "ja"),
    ],
)
def test_the_reader_gets_the_nearest_language(
    wanted: list[str], available: list[str], market: list[str], chosen: str
) -> None:
    assert choose(wanted, available, market) == chosen
