import pytest

from services.catalog.domain.hs_code import normalise_hs_code
from shared.errors import Refusal


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("691200", "691200"),
        ("6912.00.23 00", "6912002300"),
        (" 6912 00 ", "691200"),
        ("0101.21", "010121"),
        ("970121", "970121"),
    ],
)
def test_dots_and_spaces_are_no_part_of_a_code(written: str, code: str) -> None:
    assert normalise_hs_code(written) == code


@pytest.mark.parametrize("written", ["", "  ", "."])
def test_an_empty_code_means_not_classified_yet(written: str) -> None:
    assert normalise_hs_code(written) == ""


@pytest.mark.parametrize(
    "written", ["69120", "6912002300123", "69120O", "六九一二〇〇", "٦٩١٢٠٠", "-691200", "6912/00"]
)
def test_a_code_has_six_to_twelve_ascii_digits(written: str) -> None:
    refusal = normalise_hs_code(written)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "hs_code.malformed"


@pytest.mark.parametrize("chapter", ["00", "77", "98", "99"])
def test_the_chapter_must_exist(chapter: str) -> None:
    refusal = normalise_hs_code(f"{chapter}0000")
    assert isinstance(refusal, Refusal)
    assert refusal.code == "hs_code.no_such_chapter"


def test_every_chapter_of_the_system_is_accepted() -> None:
    chapters = [number for number in range(1, 98) if number != 77]
    assert all(normalise_hs_code(f"{number:02}0000") == f"{number:02}0000" for number in chapters)
