"""Giving money back: opening a refund, sending it with one key for ever, and hearing what became of it."""

from dataclasses import dataclass, replace
from datetime import datetime

from services.payments.domain.attempt import Attempt, pause_after
from services.payments.domain.charge import Charge, RefundStatus
from services.payments.domain.ledger import Account, Kind, posting
from services.payments.domain.payment import ENDED, Hand, Payment
from services.payments.domain.refund import REFUND_TABLE, Refund, RefundNews, RefundState, RefundStep
from shared.contracts.payments import REFUND_BOUNCED, RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.values import Reason
from shared.effects import Call, Effect
from shared.errors import Kind as Refused
from shared.errors import Refusal
from shared.ids import derive_id
from shared.money import Money

_NEWS = {
    RefundStatus.PENDING: RefundNews.PENDING,
    RefundStatus.SUCCEEDED: RefundNews.SUCCEEDED,
    RefundStatus.FAILED: RefundNews.FAILED,
}
_SETTLED_BY_HAND = "POST /v1/refunds that names the return, as soon as so much can be given back"
_ABOUT_REFUNDS = frozenset({"refund.failed", "refund.short", "refund.exceeds_captured"})

_RECEIVABLE = {
    Hand.PROVIDER: Account.PROVIDER_RECEIVABLE,
    Hand.CHANNEL: Account.CHANNEL_RECEIVABLE,
    Hand.CARRIER: Account.CASH_RECEIVABLE,
}
# Who pays a refund out. The carrier does not carry cash back, so we do.
_PAID_FROM = {
    Hand.PROVIDER: Account.PROVIDER_RECEIVABLE,
    Hand.CHANNEL: Account.CHANNEL_RECEIVABLE,
    Hand.CARRIER: Account.BANK,
}


def receivable(payment: Payment) -> Account:
    """Who owes us what was captured."""
    return _RECEIVABLE[payment.hand]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A refund that somebody wants. `id` follows from the wish, so that a repeated one is the same refund."""

    id: str
    amount: Money
    reason: str
    return_id: str = ""
    asked: Money | None = None  # what was wanted, where less is left


def objection(payment: Payment, amount: Money) -> Refusal | None:
    """Why this amount cannot be given back now; None when it can."""
    captured = payment.captured
    if captured is None:
        return Refusal(
            code="refund.not_captured",
            detail=f"nothing is captured: the payment is {payment.state}",
            clears_with="a captured payment; a promise that was not captured is voided by cancelling the order",
        )
    if amount.currency != captured.currency:
        return Refusal(
            code="refund.currency",
            detail=f"the charge is in {captured.currency}; it cannot be refunded in {amount.currency}",
            kind=Refused.INVALID,
            clears_with=f"an amount in {captured.currency}",
        )
    left = payment.refundable(payment.current)
    if left < amount:
        return Refusal(
            code="refund.exceeds_captured",
            detail=f"{amount} is more than the {left} that is left of the captured {captured}",
            clears_with=f"at most {left}",
            facts={"captured": captured, "refundable": left},
        )
    return None


def open_refund(payment: Payment, wish: Wish, now: datetime, *, attempt: Attempt | None = None) -> list[Effect]:
    """Promise a refund that `objection` does not mind, and send it; before the capture it waits. A known id changes nothing."""
    if payment.refund(wish.id) is not None:
        return []
    source = attempt or payment.current
    refund = Refund(
        id=wish.id,
        key=wish.id,
        attempt=source.id,
        amount=wish.amount,
        reason=wish.reason,
        return_id=wish.return_id,
        asked=wish.asked,
        requested_at=now,
        state=RefundState.WAITING,
    )
    payment.refunds.append(refund)
    effects: list[Effect] = [_requested(payment, refund)]
    if source.captured is not None:
        effects += take_refund(payment, refund, RefundNews.CAPTURED, now)
    return effects


def refund_return(payment: Payment, wish: Wish, now: datetime) -> list[Effect]:
    """Pay what a return is owed, or what is left of it. Where nothing is, it fails aloud; what lacks stays owed."""
    waits = payment.captured is None and payment.state not in ENDED and wish.amount.currency == payment.amount.currency
    left = payment.refundable(payment.current)
    reduced = wish.amount.currency == left.currency and Money(0, left.currency) < left < wish.amount
    if reduced:
        wish = replace(wish, amount=left, asked=wish.amount)
    refusal = None if waits and wish.amount <= left else objection(payment, wish.amount)
    if refusal is not None:
        return refuse_refund(payment, wish, refusal, now)
    opened = open_refund(payment, wish, now)
    if reduced and opened:
        payment.attention = "refund.short"
    return opened


def refuse_refund(payment: Payment, wish: Wish, refusal: Refusal, now: datetime) -> list[Effect]:
    """A refund that cannot be and cannot be refused to its asker's face: requested and failed, so that a person looks."""
    if payment.refund(wish.id) is not None:
        return []
    refund = Refund(
        id=wish.id,
        key=wish.id,
        attempt=payment.current.id,
        amount=wish.amount,
        reason=wish.reason,
        return_id=wish.return_id,
        requested_at=now,
        state=RefundState.FAILED,
        failure_code=refusal.code,
        settled_at=now,
    )
    payment.refunds.append(refund)
    payment.attention = refusal.code
    return [_requested(payment, refund), _failed(payment, refund, refusal.detail)]


def refund_rest(payment: Payment, now: datetime, *, reason: str, attempt: Attempt | None = None) -> list[Effect]:
    """Give back whatever is left of a captured attempt. Asked twice it is one refund."""
    source = attempt or payment.current
    left = payment.refundable(source)
    if source.captured is None or left.amount <= 0:
        return []
    wish = Wish(id=derive_id("rfd", source.id, "rest"), amount=left, reason=reason)
    return open_refund(payment, wish, now, attempt=source)


def release_waiting(payment: Payment, now: datetime) -> list[Effect]:
    """The capture came: send what waited for it."""
    captured = payment.captured
    effects: list[Effect] = []
    for refund in _waiting(payment):
        left = refund.amount
        if captured is None or refund.amount.currency != captured.currency:
            refund.failure_code = "refund.currency"
        elif (lacking := payment.refundable(payment.current)).amount < 0:  # less came in than had been promised
            refund.failure_code = "refund.exceeds_captured"
            left += lacking
        news = RefundNews.NEVER_CAPTURED if refund.failure_code else RefundNews.CAPTURED
        effects += take_refund(payment, refund, news, now)
        if refund.failure_code == "refund.exceeds_captured" and left.amount > 0:
            effects += open_refund(payment, _rest_of(refund, left), now)
    return effects


def _rest_of(refund: Refund, left: Money) -> Wish:
    """As much of a refund that could not be paid as can be."""
    return Wish(
        id=derive_id("rfd", refund.id, "rest"),
        amount=left,
        reason=refund.reason,
        return_id=refund.return_id,
        asked=refund.asked or refund.amount,
    )


def fail_waiting(payment: Payment, now: datetime) -> list[Effect]:
    """The capture will never come."""
    effects: list[Effect] = []
    for refund in _waiting(payment):
        refund.failure_code = "refund.not_captured"
        effects += take_refund(payment, refund, RefundNews.NEVER_CAPTURED, now)
    return effects


def hear_refunds(payment: Payment, attempt: Attempt, charge: Charge, now: datetime) -> list[Effect]:
    """Compare a charge's refunds with ours. One that we never asked for was made at the provider's desk, and is booked.

    One of another amount than was asked is not settled: a person must look.
    """
    effects: list[Effect] = []
    ours = {refund.key: refund for refund in payment.refunds if refund.attempt == attempt.id}
    for heard in charge.refunds:
        refund = ours.get(heard.key)
        if refund is None:
            if heard.status is RefundStatus.FAILED:
                continue
            refund = _adopted(attempt, heard.key, Money(heard.amount, charge.amount.currency), now)
            payment.refunds.append(refund)
            _promise(payment, refund, now)
            effects.append(_requested(payment, refund))
        if heard.status is not RefundStatus.FAILED and heard.amount != refund.amount.amount:
            payment.attention = "refund.conflicted"
        elif heard.status is not RefundStatus.PENDING:
            refund.failure_code = refund.failure_code or heard.failure_code
            effects += take_refund(payment, refund, _NEWS[heard.status], now)
        elif refund.calls == 0:
            effects += take_refund(payment, refund, RefundNews.PENDING, now)
    return effects


def news_of(refund: Refund, charge: Charge | None) -> RefundNews:
    """What a charge says about a refund that was asked about."""
    heard = next((heard for heard in charge.refunds if heard.key == refund.key), None) if charge is not None else None
    return RefundNews.NOT_THERE if heard is None else _NEWS[heard.status]


def take_refund(payment: Payment, refund: Refund, news: RefundNews, now: datetime) -> list[Effect]:
    """Decide one piece of news about one refund."""
    refund.state, step = REFUND_TABLE[refund.state][news]
    match step:
        case None:
            return []
        case RefundStep.SEND:
            return _send(payment, refund, now)
        case RefundStep.LOOK_UP:
            return [_look_up(payment, refund, now)]
        case RefundStep.SUCCEED:
            return _succeed(payment, refund, now)
        case RefundStep.FAIL:
            return _fail(payment, refund, now)
        case RefundStep.BOUNCE:
            return _bounce(payment, refund, now)


def refund_call(
    payment: Payment, refund: Refund, kind: str, *, not_before: datetime | None = None, **request: object
) -> Call:
    """The next call about this refund; its number tells the newest question from older ones."""
    number, refund.calls = refund.calls, refund.calls + 1
    return Call(
        id=derive_id("cal", refund.id, kind, str(number)),
        kind=kind,
        key=payment.order_id,
        request={"attempt": refund.attempt, "refund": refund.id, "number": number, **request},
        not_before=not_before,
    )


def _send(payment: Payment, refund: Refund, now: datetime) -> list[Effect]:
    if not refund.booked:
        _promise(payment, refund, now)
    match payment.hand:
        case Hand.CHANNEL:  # the channel pays it out; with us it is only booked
            return take_refund(payment, refund, RefundNews.SUCCEEDED, now)
        case Hand.CARRIER:
            refund.state = RefundState.BY_HAND
            return []
        case _:
            not_before = now + pause_after(refund.silences) if refund.calls else None
            attempt = payment.attempt(refund.attempt)
            request = {"key": refund.key, "charge_id": attempt.charge_id, "amount": refund.amount.amount}
            return [refund_call(payment, refund, "provider.refund", not_before=not_before, **request)]


def _look_up(payment: Payment, refund: Refund, now: datetime) -> Call:
    pause = pause_after(refund.silences)
    refund.silences += 1
    return refund_call(payment, refund, "provider.look_up_refund", not_before=now + pause, key=refund.attempt)


def _promise(payment: Payment, refund: Refund, now: datetime) -> None:
    refund.booked = True
    payment.postings.append(
        posting(
            Kind.REFUND_REQUESTED,
            refund.id,
            refund.amount,
            debit=Account.REFUNDS,
            credit=Account.REFUNDS_PAYABLE,
            at=now,
        )
    )


def _succeed(payment: Payment, refund: Refund, now: datetime) -> list[Effect]:
    refund.settled_at = now
    paid_from = _PAID_FROM[payment.hand]
    payment.postings.append(
        posting(Kind.REFUND_PAID, refund.id, refund.amount, debit=Account.REFUNDS_PAYABLE, credit=paid_from, at=now)
    )
    if payment.attention in _ABOUT_REFUNDS and not _needs_somebody(payment):
        payment.attention = ""
    return [
        RefundSucceeded(
            order_id=payment.order_id, refund_id=refund.id, amount=refund.amount, return_id=refund.return_id
        )
    ]


def _needs_somebody(payment: Payment) -> bool:
    """Whether a return is owed, or a refund for none has failed, of which nobody can say that it was settled."""
    failed = any(refund.state is RefundState.FAILED and not refund.return_id for refund in payment.refunds)
    return failed or bool(payment.owed_returns())


def _fail(payment: Payment, refund: Refund, now: datetime) -> list[Effect]:
    refund.settled_at = now
    refund.failure_code = refund.failure_code or "refund.refused"
    payment.attention = "refund.failed"
    if refund.booked:
        payment.postings.append(
            posting(
                Kind.REFUND_FAILED,
                refund.id,
                refund.amount,
                debit=Account.REFUNDS_PAYABLE,
                credit=Account.REFUNDS,
                at=now,
            )
        )
    return [_failed(payment, refund, "the provider will not refund this")]


def _bounce(payment: Payment, refund: Refund, now: datetime) -> list[Effect]:
    refund.settled_at = now
    refund.failure_code = refund.failure_code or REFUND_BOUNCED
    payment.attention = "refund.failed"
    payment.postings.append(
        posting(
            Kind.REFUND_BOUNCED,
            refund.id,
            refund.amount,
            debit=_PAID_FROM[payment.hand],
            credit=Account.REFUNDS,
            at=now,
        )
    )
    return [_failed(payment, refund, "the refund was paid and came back", code=REFUND_BOUNCED)]


def _requested(payment: Payment, refund: Refund) -> RefundRequested:
    return RefundRequested(
        order_id=payment.order_id,
        refund_id=refund.id,
        amount=refund.amount,
        reason=refund.reason,
        return_id=refund.return_id,
        through_channel=payment.hand is Hand.CHANNEL,
        asked=refund.asked,
        reduced=_reduced(refund),
    )


def _reduced(refund: Refund) -> Reason | None:
    if refund.asked is None:
        return None
    return Reason(
        code="refund.exceeds_captured",
        message=f"{refund.amount} is what is left of the charge; {refund.asked - refund.amount} stays owed",
        clears_with=_SETTLED_BY_HAND,
        subject=refund.return_id,
    )


def _failed(payment: Payment, refund: Refund, message: str, *, code: str = "") -> RefundFailed:
    code = code or refund.failure_code
    code = code if "." in code else f"refund.{code}"
    clears_with = _SETTLED_BY_HAND if refund.return_id else "a person: pay it out another way"
    reason = Reason(code=code, message=message, clears_with=clears_with, subject=refund.id)
    return RefundFailed(
        order_id=payment.order_id, refund_id=refund.id, amount=refund.amount, reason=reason, return_id=refund.return_id
    )


def _adopted(attempt: Attempt, key: str, amount: Money, now: datetime) -> Refund:
    return Refund(
        id=derive_id("rfd", attempt.id, key),
        key=key,
        attempt=attempt.id,
        amount=amount,
        reason="made_at_the_provider",
        requested_at=now,
        state=RefundState.SENT,
    )


def _waiting(payment: Payment) -> list[Refund]:
    return [refund for refund in payment.refunds if refund.state is RefundState.WAITING]
