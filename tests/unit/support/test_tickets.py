from datetime import datetime, timedelta

import pytest

from services.support.domain.cases import Cases
from services.support.domain.ticket import FIRST_RESPONSE_DEADLINE, Author, Ticket, TicketStatus
from services.support.usecases.answer_ticket import AnswerTicket, answer_ticket
from services.support.usecases.miss_first_response import miss_first_response
from services.support.usecases.open_ticket import OpenTicket, open_ticket
from services.support.usecases.resolve_ticket import ResolveTicket, resolve_ticket
from shared.effects import Deadline, Decision, Due, Forget
from tests.builders.support import (
    COSTS,
    NOON,
    STORE,
    a_moment,
    a_placed,
    a_ticket,
    body_of,
    cases_of,
    code_of,
    events_of,
)

DAY = timedelta(days=1)
SOON, LATE = NOON + timedelta(hours=1), NOON + timedelta(hours=25)


@pytest.fixture
def cases() -> Cases:
    return Cases(COSTS)


def write(cases: Cases, ticket: Ticket, author: Author, at: datetime = SOON) -> Decision:
    return answer_ticket(AnswerTicket(STORE, ticket.id, author, "…"), cases, a_moment(at))


def resolve(cases: Cases, ticket: Ticket, at: datetime = SOON) -> Decision:
    return resolve_ticket(ResolveTicket(STORE, ticket.id), cases, a_moment(at))


def day_is_over(cases: Cases, ticket: Ticket) -> None:
    miss_first_response(Due(FIRST_RESPONSE_DEADLINE, ticket.id), cases, a_moment(NOON + DAY))


def test_a_ticket_is_owed_an_answer_within_24_hours(cases: Cases) -> None:
    decision = open_ticket(OpenTicket(STORE, None, "mira", "Hello", "Hello?"), cases, a_moment())
    ticket = cases.tickets[body_of(decision)["id"]]
    assert events_of(decision) == [Deadline(FIRST_RESPONSE_DEADLINE, ticket.id, NOON + DAY)]
    assert [message.text for message in cases.messages] == ["Hello?"]


def test_the_first_word_of_the_staff_stops_the_clock(cases: Cases) -> None:
    ticket = a_ticket(cases)
    assert events_of(write(cases, ticket, Author.STAFF)) == [Forget(FIRST_RESPONSE_DEADLINE, ticket.id)]
    day_is_over(cases, ticket)  # was on its way already
    assert (ticket.first_responded_at, ticket.first_response_breached) == (SOON, False)


def test_a_word_of_the_customer_does_not(cases: Cases) -> None:
    ticket = a_ticket(cases)
    assert events_of(write(cases, ticket, Author.CUSTOMER)) == []
    day_is_over(cases, ticket)
    assert ticket.first_response_breached


def test_resolving_stops_every_clock(cases: Cases) -> None:
    # chatwoot #10178: the clock went on after the resolution
    ticket = a_ticket(cases)
    assert events_of(resolve(cases, ticket)) == [Forget(FIRST_RESPONSE_DEADLINE, ticket.id)]
    day_is_over(cases, ticket)
    write(cases, ticket, Author.STAFF, LATE)  # a goodbye
    assert not ticket.first_response_breached
    assert ticket.status is TicketStatus.RESOLVED


def test_an_answer_after_the_hour_is_late_even_before_the_deadline_has_come(cases: Cases) -> None:
    ticket = a_ticket(cases)
    write(cases, ticket, Author.STAFF, LATE)
    assert ticket.first_response_breached


def test_an_answer_in_the_last_second_is_in_time(cases: Cases) -> None:
    ticket = a_ticket(cases)
    write(cases, ticket, Author.STAFF, NOON + DAY)
    assert not ticket.first_response_breached


def test_a_breach_stays_a_breach(cases: Cases) -> None:
    ticket = a_ticket(cases)
    day_is_over(cases, ticket)
    write(cases, ticket, Author.STAFF, LATE)
    resolve(cases, ticket, LATE)
    assert ticket.first_response_breached


def test_the_customer_opens_a_resolved_ticket_again_and_the_staff_does_not(cases: Cases) -> None:
    ticket = a_ticket(cases)
    resolve(cases, ticket)
    write(cases, ticket, Author.STAFF)
    assert ticket.status is TicketStatus.RESOLVED
    write(cases, ticket, Author.CUSTOMER)
    assert (ticket.status, ticket.resolved_at) == (TicketStatus.OPEN, None)


def test_a_resolved_ticket_is_not_resolved_again(cases: Cases) -> None:
    ticket = a_ticket(cases)
    resolve(cases, ticket)
    assert code_of(resolve(cases, ticket)) == "ticket.already_resolved"


def test_messages_keep_their_order_in_one_batch(cases: Cases) -> None:
    ticket = a_ticket(cases)
    for author in (Author.STAFF, Author.CUSTOMER):
        write(cases, ticket, author)
    assert [(message.position, message.author) for message in cases.messages] == [
        (1, "customer"), (2, "staff"), (3, "customer"),
    ]  # fmt: skip
    assert len({message.id for message in cases.messages}) == 3


def test_a_ticket_is_about_an_order_of_the_store_or_none() -> None:
    placed, others = a_placed(), a_placed(store_id="str_other")
    cases = cases_of(placed, others)
    ours = OpenTicket(STORE, placed.order_id, "mira", "?", "?")
    assert body_of(open_ticket(ours, cases, a_moment()))["order_id"] == placed.order_id
    theirs = OpenTicket(STORE, others.order_id, "mira", "?", "?")
    assert code_of(open_ticket(theirs, cases, a_moment())) == "order.not_found"


def test_another_store_finds_no_ticket(cases: Cases) -> None:
    ticket = a_ticket(cases)
    assert (
        code_of(answer_ticket(AnswerTicket("str_other", ticket.id, Author.STAFF, "x"), cases, a_moment()))
        == "ticket.not_found"
    )
    assert code_of(resolve_ticket(ResolveTicket("str_other", ticket.id), cases, a_moment())) == "ticket.not_found"
