"""The order asks for its money."""

from services.payments.domain.books import Books
from services.payments.domain.moves import News, Scene, announce_declined, authorise, take
from services.payments.domain.payment import CaptureAt, Hand, Payment, State
from shared.contracts.orders import PaymentRequested
from shared.contracts.values import PaymentMode
from shared.effects import Effect, Effects, Moment
from shared.pan import holds_card_number


def request_payment(wanted: PaymentRequested, books: Books, now: Moment) -> Effects:
    """Authorise it, or book what a channel has collected. After a decline a new payment id is a new card."""
    known = books.payments.get(wanted.order_id)
    if known is None:
        return _begin(wanted, books, now)
    if known.payment_id == wanted.payment_id or known.state is not State.DECLINED:
        return []
    known.payment_id, known.amount, known.token = wanted.payment_id, wanted.amount, _token(wanted)
    known.method, known.claimed_fingerprint = wanted.method, wanted.card_fingerprint
    known.capture_due = known.capture_due or known.capture_at is CaptureAt.ONCE
    objection = _objection(known, wanted)
    if objection:
        return announce_declined(known, Scene(now=now.decided_at, decline_code=objection))
    return take(known, News.REQUESTED, Scene(now=now.decided_at))


def _begin(wanted: PaymentRequested, books: Books, now: Moment) -> Effects:
    payment = Payment(
        order_id=wanted.order_id,
        payment_id=wanted.payment_id,
        store_id=now.store_id,
        market=now.market,
        channel=wanted.channel,
        amount=wanted.amount,
        mode=wanted.mode,
        method=wanted.method,
        token=_token(wanted),
        claimed_fingerprint=wanted.card_fingerprint,
        requested_at=now.decided_at,
    )
    payment.capture_due = payment.capture_at is CaptureAt.ONCE
    books.payments[wanted.order_id] = payment
    payment.begin_attempt(now.decided_at, automatic=payment.capture_due)
    objection = _objection(payment, wanted)
    if objection:
        payment.state = State.DECLINED
        return announce_declined(payment, Scene(now=now.decided_at, decline_code=objection))
    return [*authorise(payment, Scene(now=now.decided_at)), *_early_webhooks(payment, books)]


def _early_webhooks(payment: Payment, books: Books) -> list[Effect]:
    """What the provider told before we knew the order: asked about now."""
    early = books.early.get(payment.order_id, [])
    books.early[payment.order_id] = []
    return [payment.current.call("provider.look_up", payment.order_id, key=payment.current.id) for _ in early[:1]]


def _objection(payment: Payment, wanted: PaymentRequested) -> str:
    """Why the provider need not even be asked; empty when it may."""
    if payment.hand is not Hand.PROVIDER:
        return ""
    if holds_card_number(wanted.token):
        return "card_number"
    return "" if wanted.token else "token_missing"


def _token(wanted: PaymentRequested) -> str:
    """The token; never something that could be a card number, and none where the channel collected."""
    keeps = wanted.mode is PaymentMode.COLLECT and not holds_card_number(wanted.token)
    return wanted.token if keeps else ""
