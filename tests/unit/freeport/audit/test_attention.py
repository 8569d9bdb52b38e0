"""What needs a person is told beside the verdicts and changes none."""

import io

from rich.console import Console

from freeport.audit.attention import MATTERS, Findings, Item, attention
from freeport.audit.books import Books
from freeport.audit.check import SHOWN, Verdict
from freeport.audit.command import Examination, print_attention

KEPT, BROKEN = Verdict("a", "a holds", 3, ()), Verdict("b", "b holds", 3, ("not here",))
OWED = Findings("refunds.owed", "refunds that failed", (Item("ord_1", "[12] EUR are owed", "paying it"),))
NOTHING = Findings("letters.open", "dead letters that are open", ())


def test_what_somebody_is_owed_does_not_fail_the_audit() -> None:
    told = Examination([KEPT], [OWED, NOTHING]).as_json()
    assert told["ok"]
    assert set(told) == {"ok", "checks", "attention"}
    assert told["attention"] == [
        {
            "name": "refunds.owed",
            "count": 1,
            "items": [{"about": "ord_1", "says": "[12] EUR are owed", "clears_with": "paying it"}],
        },
        {"name": "letters.open", "count": 0, "items": []},
    ]


def test_a_broken_invariant_fails_it_whatever_is_owed() -> None:
    assert not Examination([KEPT, BROKEN], []).ok
    assert not Examination([KEPT, BROKEN], [OWED]).ok


def test_a_flood_of_matters_is_counted_and_not_spelled_out() -> None:
    flood = Findings("x", "x", tuple(Item(str(number), "", "") for number in range(SHOWN + 7)))
    assert (flood.as_json()["count"], len(flood.as_json()["items"])) == (SHOWN + 7, SHOWN)


def test_what_needs_a_person_is_printed_with_what_settles_it_and_nothing_else_is() -> None:
    text = io.StringIO()
    print_attention([OWED, NOTHING], Console(file=text, width=80))
    assert "ord_1: [12] EUR are owed → paying it" in text.getvalue()
    assert "dead letters" not in text.getvalue()
    quiet = io.StringIO()
    print_attention([NOTHING], Console(file=quiet, width=80))
    assert quiet.getvalue() == ""


async def test_a_matter_whose_service_is_not_there_is_left_out() -> None:
    found = await attention(Books({}))
    assert {findings.name for findings in found} == {matter.name for matter in MATTERS if not matter.needs}


def test_every_matter_has_a_name_of_its_own_and_says_what_it_is() -> None:
    assert len({matter.name for matter in MATTERS}) == len(MATTERS)
    assert all(matter.says and matter.find.__doc__ for matter in MATTERS)
