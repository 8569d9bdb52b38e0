"""Checks, verdicts and how they are told."""

import io

from rich.console import Console

from freeport.audit.books import Books
from freeport.audit.check import SHOWN, Check, Finding, Verdict, ask
from freeport.audit.command import CHECKS, print_verdicts, report


async def _two_wrong(books: Books) -> Finding:
    return Finding().add(5, ["one", "two"]).add(2, [])


async def test_a_check_is_asked_and_counts_what_it_looked_at() -> None:
    verdict = await ask(Check("x", "x holds", (), _two_wrong), Books({}))
    assert (verdict.ok, verdict.checked, verdict.violations) == (False, 7, ("one", "two"))


async def test_a_check_whose_service_is_not_there_is_skipped_and_says_so() -> None:
    verdict = await ask(Check("x", "x holds", ("orders",), _two_wrong), Books({}))
    assert (verdict.skipped, verdict.checked, verdict.violations) == ("not built: orders", 0, ())
    assert verdict.as_json()["skipped"] == "not built: orders"


def test_one_broken_invariant_breaks_the_audit() -> None:
    kept, broken = Verdict("a", "a holds", 3, ()), Verdict("b", "b holds", 3, ("not here",))
    assert [report(verdicts)["ok"] for verdicts in ([kept], [kept, broken])] == [True, False]


def test_a_flood_of_violations_is_counted_and_not_spelled_out() -> None:
    told = Verdict("a", "a holds", 999, tuple(map(str, range(SHOWN + 7)))).as_json()["violations"]
    assert (len(told), told[-1]) == (SHOWN + 1, "… and 7 more")


def test_what_is_broken_is_printed_with_its_words_as_they_are() -> None:
    text = io.StringIO()
    broken = Verdict("b", "b holds", 3, ("ord_1 is [bold]lost[/bold]",))
    print_verdicts([broken], Console(file=text, width=80))
    assert "ord_1 is [bold]lost[/bold]" in text.getvalue()


def test_every_check_has_a_name_of_its_own_and_says_what_it_asks() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))
    assert all(check.says and check.ask.__doc__ for check in CHECKS)
