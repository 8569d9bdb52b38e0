"""Judging the papers of a consignment, and going on to book it when they are clear."""

from services.logistics.domain.consignment import Consignment
from services.logistics.domain.desk import Desk
from services.logistics.domain.rules import Clocks, assess
from shared.effects import Effect, Moment


def judge(consignment: Consignment, desk: Desk, now: Moment) -> list[Effect]:
    """Apply the rules in force to what is known now; tell what is news; book when nothing is in the way any more."""
    desk.touched.add(consignment.order_id)
    facts = consignment.facts
    modes = desk.carriers.modes_to(facts.destination.country)
    shipment = consignment.crossing(desk.products, desk.documents_of(facts), modes)
    findings = assess(shipment, Clocks.of(facts.placed_at, now.decided_at), desk.rulebook)
    events = consignment.take_papers(findings, desk.rulebook.version, now.decided_at)
    return [*events, *consignment.proceed()]
