"""A channel answered what it was told about an order, or did not."""

from services.orders.domain.book import OrderBook
from services.orders.domain.channel import SHIP, refusal, silence, tried_again
from shared.effects import Answered, Decision, Moment


def settle_channel_call(answered: Answered, book: OrderBook, now: Moment) -> Decision:
    """Once more while the outcome is unknown or the channel is busy; a person is told of a refusal and of a long silence."""
    order = book.order_of(answered.key)
    answer = answered.answer
    if answer is None or answer["result"] == "busy":
        again = tried_again(answered, now.decided_at, None if answer is None else answer["retry_after_s"])
        complaint = silence(answered)
        return [again, *(order.complain(complaint, now.decided_at) if complaint else [])]
    if answer["result"] == "refused":
        book.channel_refused.append((order.channel, answered.kind))
        return order.complain(refusal(answered, answer["code"], answer["detail"]), now.decided_at)
    return order.channel_knows(answered.kind, now.decided_at, tracking=answered.kind == SHIP)
