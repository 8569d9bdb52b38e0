"""Orders asks again what logistics says about an order's papers, or about its cancellation."""

from services.logistics.domain.desk import Desk
from services.logistics.domain.handover import State
from services.logistics.usecases.cancel_shipment import cancel_shipment
from services.logistics.usecases.check_papers import check_papers
from services.logistics.usecases.prepare_shipment import prepare_shipment
from shared.contracts.orders import AnswerAwaited
from shared.effects import Effect, Effects, Moment

WHO = "logistics"


def answer_again(awaited: AnswerAwaited, desk: Desk, now: Moment) -> Effects:
    """Tell the present word once more. What was never heard of is decided now; a cancellation is answered in every state."""
    if WHO not in awaited.whom:
        return []
    known = desk.consignments.get(awaited.order_id)
    if known is None:
        return _catch_up(awaited, desk, now)
    if awaited.cancellation is not None:
        return cancel_shipment(awaited.cancellation, desk, now)
    return [] if known.state is State.CANCELLED else known.tell_papers()


def _catch_up(awaited: AnswerAwaited, desk: Desk, now: Moment) -> Effects:
    effects: list[Effect] = [*check_papers(awaited.placed, desk, now)]
    if awaited.confirmed is not None and awaited.cancellation is None:
        effects += prepare_shipment(awaited.confirmed, desk, now)
    if awaited.cancellation is not None:
        effects += cancel_shipment(awaited.cancellation, desk, now)
    return effects
