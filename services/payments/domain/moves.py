"""What happens next: the total table over (state, news), and the steps it names.

Every pair has an answer, also the late ones: an authorisation that arrives after the cancellation is voided, a capture that
arrives after it is refunded. News about the provider's side is always a whole snapshot of the charge, so that the order in
which it arrives does not matter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from services.payments.domain.attempt import Attempt, pause_after
from services.payments.domain.attention import reason_for
from services.payments.domain.charge import Charge, ChargeStatus
from services.payments.domain.ledger import Account, Kind, posting
from services.payments.domain.payment import WANTS_MONEY, Hand, Payment, State
from services.payments.domain.refunding import fail_waiting, hear_refunds, receivable, refund_rest, release_waiting
from shared.contracts.payments import (
    CHARGED_TWICE,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOutcomeUnknown,
    PaymentVoided,
)
from shared.contracts.values import Reason
from shared.effects import Deadline, Effect, Forget
from shared.ids import derive_id

ACTION_DEADLINE = "payment.action"
RENEWAL_DEADLINE = "payment.renewal"

UNDER_WAY = timedelta(seconds=60)
"""A request that the provider does not know may still be on its way to it for this long."""

_CLOCKS_DIFFER = timedelta(seconds=2)


class News(StrEnum):
    """What a payment can hear: from its order, from the clock, and from the provider about the current attempt."""

    REQUESTED = "requested"  # again, with another payment id
    CAPTURE_DUE = "capture_due"
    CANCELLED = "cancelled"
    ACTION_DUE = "action_due"
    RENEWAL_DUE = "renewal_due"
    EXPIRING = "expiring"  # and cannot be renewed
    ACTION = "action"
    ACTION_OVERDUE = "action_overdue"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    EXPIRED = "expired"
    CONFLICT = "conflict"  # another amount or currency than was asked
    NOT_SEEN_YET = "not_seen_yet"  # the provider does not know the key, and the request may still be under way
    NEVER_SEEN = "never_seen"  # the provider does not know the key
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The circumstances of one piece of news. `decline_code` is for a no without a charge."""

    now: datetime
    charge: Charge | None = None
    decline_code: str = ""


Step = Callable[[Payment, Scene], list[Effect]]


@dataclass(frozen=True, slots=True)
class Move:
    """Where to, and what is done there. No state means: stay."""

    to: State | None = None
    steps: tuple[Step, ...] = field(default=())


def take(payment: Payment, news: News, scene: Scene) -> list[Effect]:
    """Decide one piece of news."""
    move = TABLE[payment.state][news]
    if move.to is not None:
        payment.state = move.to
    return [effect for step in move.steps for effect in step(payment, scene)]


def hear(payment: Payment, attempt: Attempt, charge: Charge, now: datetime) -> list[Effect]:
    """Decide a snapshot of a charge."""
    attempt.learn(charge, now)
    effects = hear_refunds(payment, attempt, charge, now)
    if attempt.superseded:
        effects += _undo_superseded(payment, attempt, charge, now)
    elif attempt is payment.current:
        effects += take(payment, news_of(payment, attempt, charge, now), Scene(now=now, charge=charge))
    return effects


def hear_silence(payment: Payment, attempt: Attempt, now: datetime) -> list[Effect]:
    """Decide that the newest question about an attempt was not answered."""
    if attempt.superseded or attempt is not payment.current:
        return [_look_up(payment, attempt, now)]
    return take(payment, News.NO_ANSWER, Scene(now=now))


def hear_absence(payment: Payment, attempt: Attempt, now: datetime) -> list[Effect]:
    """Decide that the provider, asked last, does not know an attempt's key."""
    if attempt is not payment.current:
        return []
    under_way = now < attempt.asked_at + UNDER_WAY
    return take(payment, News.NOT_SEEN_YET if under_way else News.NEVER_SEEN, Scene(now=now))


def news_of(payment: Payment, attempt: Attempt, charge: Charge, now: datetime) -> News:
    """What a snapshot means for the payment."""
    if payment.state in WANTS_MONEY and not attempt.agrees_with(charge):
        return News.CONFLICT
    match charge.status:
        case ChargeStatus.REQUIRES_ACTION:
            overdue = charge.action_expires_at is not None and charge.action_expires_at <= now
            return News.ACTION_OVERDUE if overdue else News.ACTION
        case ChargeStatus.AUTHORISED:
            return News.AUTHORISED
        case ChargeStatus.CAPTURED:
            return News.CAPTURED
        case ChargeStatus.DECLINED:
            return News.DECLINED
        case ChargeStatus.VOIDED:
            return News.VOIDED
        case ChargeStatus.EXPIRED:
            return News.EXPIRED
        case ChargeStatus.ASKED:
            return News.NO_ANSWER


# ── Steps: asking the provider ────────────────────────────────────────────────────────────────────────────────────────


def authorise(payment: Payment, scene: Scene) -> list[Effect]:
    """Ask for the promise (or, for methods that pay at once, for the money). A repeated asking has the same key."""
    match payment.hand:
        case Hand.CARRIER:
            return take(payment, News.AUTHORISED, scene)
        case Hand.CHANNEL | Hand.NOBODY:
            return take(payment, News.CAPTURED, scene)
        case Hand.PROVIDER:
            return [_ask(payment, payment.current, scene.now)]


def capture(payment: Payment, scene: Scene) -> list[Effect]:
    """Take the promised money. Cash is taken by the carrier: it is only booked."""
    if payment.hand is not Hand.PROVIDER:
        return take(payment, News.CAPTURED, scene)
    attempt = payment.current
    key = derive_id("cap", attempt.id)
    request = {"key": key, "charge_id": attempt.charge_id, "amount": attempt.amount.amount}
    return [attempt.call("provider.capture", payment.order_id, not_before=_unhurried(attempt, scene.now), **request)]


def void(payment: Payment, scene: Scene) -> list[Effect]:
    """Give the promise back."""
    if payment.hand is not Hand.PROVIDER:
        return take(payment, News.VOIDED, scene)
    return [_void(payment, payment.current, scene.now)]


def look_up(payment: Payment, scene: Scene) -> list[Effect]:
    """Ask how the charge stands, later each time."""
    return [_look_up(payment, payment.current, scene.now)]


def renew(payment: Payment, scene: Scene) -> list[Effect]:
    """Ask for a new promise while the old one stands."""
    payment.begin_attempt(scene.now, automatic=False)
    return [_ask(payment, payment.current, scene.now)]


def ask_again(payment: Payment, scene: Scene) -> list[Effect]:
    """Not there: again with the same key. A charge that the provider knew and knows no more is as good as voided."""
    if payment.current.charge_id:
        return take(payment, News.VOIDED, scene)
    return [_ask(payment, payment.current, scene.now)]


def charge_anew(payment: Payment, scene: Scene) -> list[Effect]:
    """The promise ran out and the goods are on their way: ask for the money at once."""
    payment.current.superseded = True
    payment.begin_attempt(scene.now, automatic=True)
    return [_ask(payment, payment.current, scene.now)]


# ── Steps: attempts that give way ─────────────────────────────────────────────────────────────────────────────────────


def release_old(payment: Payment, scene: Scene) -> list[Effect]:
    """The new promise is there: give the old one back."""
    old = payment.fallback
    if old is None:
        return []
    old.superseded = True
    return [_void(payment, old, scene.now)]


def drop_new(payment: Payment, scene: Scene) -> list[Effect]:
    """The new promise is not wanted any more, or did not come; whatever becomes of it is undone."""
    new = payment.current
    if payment.fallback is None:
        return []
    new.superseded = True
    return [] if scene.charge is None else _undo_superseded(payment, new, scene.charge, scene.now)


def watch_end(payment: Payment, scene: Scene) -> list[Effect]:
    """The promise stands until it runs out: see then what became of it."""
    expires_at = payment.current.expires_at
    if payment.current.status is ChargeStatus.EXPIRED:
        return take(payment, News.EXPIRED, scene)
    if expires_at is None or expires_at <= scene.now:
        return [_look_up(payment, payment.current, scene.now)]
    return [Deadline(RENEWAL_DEADLINE, payment.order_id, expires_at + _CLOCKS_DIFFER)]


# ── Steps: booking and telling ────────────────────────────────────────────────────────────────────────────────────────


def announce_action(payment: Payment, scene: Scene) -> list[Effect]:
    """Tell the buyer's side where to act, and until when."""
    charge = _heard(scene)
    expires_at = charge.action_expires_at or scene.now + timedelta(minutes=15)
    payment.action_url, payment.action_expires_at = charge.action_url, expires_at
    event = PaymentActionRequired(
        order_id=payment.order_id, payment_id=payment.payment_id, action_url=charge.action_url, expires_at=expires_at
    )
    return [event, Deadline(ACTION_DEADLINE, payment.order_id, expires_at)]


def announce_authorised(payment: Payment, scene: Scene) -> list[Effect]:
    """The money is promised."""
    effects = _settle_action(payment)
    payment.told, payment.attention = "", ""
    attempt = payment.current
    if payment.hand is Hand.CARRIER:
        attempt.status = ChargeStatus.AUTHORISED
    effects.append(
        PaymentAuthorised(
            order_id=payment.order_id,
            payment_id=payment.payment_id,
            amount=payment.amount,
            mode=payment.mode,
            method=payment.method,
            card_fingerprint=attempt.fingerprint,
            card_matches=payment.card_matches(attempt.fingerprint),
            expires_at=attempt.expires_at,
        )
    )
    return effects


def watch_expiry(payment: Payment, scene: Scene) -> list[Effect]:
    """Come back before the promise runs out."""
    renew_at = payment.current.renew_at()
    return [] if renew_at is None else [Deadline(RENEWAL_DEADLINE, payment.order_id, renew_at)]


def capture_if_due(payment: Payment, scene: Scene) -> list[Effect]:
    """What should have been captured already is captured now."""
    return take(payment, News.CAPTURE_DUE, scene) if payment.capture_due else []


def remember_capture(payment: Payment, scene: Scene) -> list[Effect]:
    """Capture as soon as there is something to capture."""
    payment.capture_due = True
    return []


def book_capture(payment: Payment, scene: Scene) -> list[Effect]:
    """The money is ours: into the ledger, and out to whoever waits for it."""
    attempt = payment.current
    effects = _settle_action(payment)
    if attempt.expires_at is not None or attempt.authorised_at is not None:
        effects.append(Forget(RENEWAL_DEADLINE, payment.order_id))
    payment.told, payment.attention = "", ""
    taken = scene.charge.captured if scene.charge is not None else payment.amount
    attempt.status, attempt.captured = ChargeStatus.CAPTURED, taken
    if taken:
        account = receivable(payment)
        entry = posting(Kind.CAPTURE, attempt.id, taken, debit=account, credit=Account.SALES_CLEARING, at=scene.now)
        payment.postings.append(entry)
    effects.append(PaymentCaptured(order_id=payment.order_id, payment_id=payment.payment_id, amount=taken))
    return effects + release_waiting(payment, scene.now)


def give_back(payment: Payment, scene: Scene) -> list[Effect]:
    """The order is over and the money is here: all of it goes back."""
    return refund_rest(payment, scene.now, reason="order_cancelled")


def announce_declined(payment: Payment, scene: Scene) -> list[Effect]:
    """Nothing was charged."""
    code = scene.decline_code or (scene.charge.decline_code if scene.charge is not None else "")
    if not code and payment.action_expires_at is not None and payment.action_expires_at <= scene.now:
        code = "action_expired"
    effects = _settle_action(payment)
    payment.told, payment.attention = "", ""
    if payment.current.status is ChargeStatus.ASKED:
        payment.current.status = ChargeStatus.DECLINED
    payment.current.decline_code = code or payment.current.decline_code or "declined"
    effects.append(
        PaymentDeclined(
            order_id=payment.order_id,
            payment_id=payment.payment_id,
            reason=declined_for(payment.current.decline_code),
        )
    )
    return effects + fail_waiting(payment, scene.now)


def announce_voided(payment: Payment, scene: Scene) -> list[Effect]:
    """The promise was given back."""
    payment.told, payment.attention = "", ""
    if payment.hand is Hand.CARRIER:
        payment.current.status = ChargeStatus.VOIDED
    effects = [*_settle_action(payment), Forget(RENEWAL_DEADLINE, payment.order_id)]
    effects.append(PaymentVoided(order_id=payment.order_id, payment_id=payment.payment_id))
    return effects + fail_waiting(payment, scene.now)


def tell_unknown(operation: str) -> Step:
    """Tell once that the outcome of an operation is not known."""

    def tell(payment: Payment, scene: Scene) -> list[Effect]:
        if payment.told == operation:
            return []
        payment.told = operation
        return [PaymentOutcomeUnknown(order_id=payment.order_id, payment_id=payment.payment_id, operation=operation)]

    return tell


def alarm(code: str, operation: str) -> Step:
    """A person must look. It is told at once, also where the outcome was unknown before, and not again while it is so."""

    def raise_alarm(payment: Payment, scene: Scene) -> list[Effect]:
        if payment.attention == code and payment.told == operation:
            return []
        payment.attention, payment.told = code, operation
        return [
            PaymentOutcomeUnknown(
                order_id=payment.order_id,
                payment_id=payment.payment_id,
                operation=operation,
                attention=reason_for(code, payment, scene.charge),
            )
        ]

    return raise_alarm


def begin_again(payment: Payment, scene: Scene) -> list[Effect]:
    """Another card after a decline; the attempt that failed stays what it was."""
    payment.current.superseded = True
    payment.begin_attempt(scene.now, automatic=payment.capture_due)
    return authorise(payment, scene)


def declined_for(code: str) -> Reason:
    """The reason that others hear."""
    words = {
        "card_declined": "the card was declined",
        "insufficient_funds": "the card has not enough funds",
        "authentication_failed": "the buyer did not pass 3-D Secure",
        "authentication_expired": "the buyer did not act in time",
        "action_expired": "the buyer did not act in time",
        "card_number": "a card number was sent where a token belongs; it was not stored",
        "token_missing": "there is no token to charge",
    }
    return Reason(
        code=f"payment.{code}", message=words.get(code, "the provider declined"), clears_with="another way to pay"
    )


def _ask(payment: Payment, attempt: Attempt, now: datetime) -> Effect:
    attempt.asked_at = now
    return attempt.call(
        "provider.authorise",
        payment.order_id,
        not_before=_unhurried(attempt, now),
        key=attempt.id,
        amount=attempt.amount.amount,
        currency=attempt.amount.currency,
        token=payment.token,
        method=payment.method.value,
        automatic=attempt.automatic,
        reference=payment.order_id,
    )


def _void(payment: Payment, attempt: Attempt, now: datetime) -> Effect:
    request = {"key": derive_id("voi", attempt.id), "charge_id": attempt.charge_id}
    return attempt.call("provider.void", payment.order_id, not_before=_unhurried(attempt, now), **request)


def _look_up(payment: Payment, attempt: Attempt, now: datetime) -> Effect:
    pause = pause_after(attempt.silences)
    attempt.silences += 1
    return attempt.call("provider.look_up", payment.order_id, not_before=now + pause, key=attempt.id)


def _unhurried(attempt: Attempt, now: datetime) -> datetime | None:
    """The first few questions at once; a provider that keeps answering beside the point is asked ever more slowly."""
    return now + pause_after(attempt.calls - 4) if attempt.calls > 4 else None


def _undo_superseded(payment: Payment, attempt: Attempt, charge: Charge, now: datetime) -> list[Effect]:
    if charge.status in (ChargeStatus.AUTHORISED, ChargeStatus.REQUIRES_ACTION):
        return [_void(payment, attempt, now)]
    if charge.status is ChargeStatus.CAPTURED and attempt.captured is None:
        attempt.captured = charge.captured
        payment.postings.append(
            posting(
                Kind.CAPTURE,
                attempt.id,
                charge.captured,
                debit=receivable(payment),
                credit=Account.SALES_CLEARING,
                at=now,
            )
        )
        return refund_rest(payment, now, reason=CHARGED_TWICE, attempt=attempt)
    return []


def _settle_action(payment: Payment) -> list[Effect]:
    if payment.action_expires_at is None:
        return []
    payment.action_url, payment.action_expires_at = "", None
    return [Forget(ACTION_DEADLINE, payment.order_id)]


def _heard(scene: Scene) -> Charge:
    if scene.charge is None:
        raise LookupError("this step needs the provider's charge")
    return scene.charge


# ── The table ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_N, _S = News, State


def _stay(*news: News) -> dict[News, Move]:
    """Heard, and nothing follows: older news, or what is done already."""
    return dict.fromkeys(news, Move())


_PAID: Mapping[News, Move] = {
    _N.AUTHORISED: Move(_S.AUTHORISED, (announce_authorised, watch_expiry, capture_if_due)),
    _N.CAPTURED: Move(_S.CAPTURED, (announce_authorised, book_capture)),
}
_REFUSED: Mapping[News, Move] = dict.fromkeys(
    (_N.DECLINED, _N.VOIDED, _N.EXPIRED), Move(_S.DECLINED, (announce_declined,))
)
_CONFLICT = Move(_S.CONFLICTED, (alarm("payment.conflicted", "authorise"),))
_UNPAID = Move(None, (alarm("payment.dispatched_unpaid", "capture"),))
_LAPSE = Move(_S.LAPSED, (alarm("payment.promise_lost", "authorise"),))
_LAPSE_CAPTURE = Move(_S.LAPSED, (alarm("payment.capture_failed", "capture"),))
_TAKEN_TOO_LATE = Move(_S.CAPTURED, (book_capture, give_back))

TABLE: Mapping[State, Mapping[News, Move]] = {
    _S.AUTHORISING: {
        **_PAID,
        **_REFUSED,
        _N.CAPTURE_DUE: Move(None, (remember_capture,)),
        _N.CANCELLED: Move(_S.CANCELLING),
        _N.ACTION: Move(_S.ACTION_REQUIRED, (announce_action,)),
        _N.ACTION_OVERDUE: Move(_S.ABANDONING, (void,)),
        _N.CONFLICT: _CONFLICT,
        _N.NOT_SEEN_YET: Move(None, (authorise,)),  # the same key: if the first one arrives after all, they are one
        _N.NEVER_SEEN: Move(None, (authorise,)),
        _N.NO_ANSWER: Move(None, (tell_unknown("authorise"), look_up)),
        **_stay(_N.REQUESTED, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING),
    },
    _S.ACTION_REQUIRED: {
        **_PAID,
        **_REFUSED,
        _N.CAPTURE_DUE: Move(None, (remember_capture,)),
        _N.CANCELLED: Move(_S.VOIDING, (void,)),
        _N.ACTION_DUE: Move(None, (look_up,)),  # the webhook may have been lost
        _N.ACTION_OVERDUE: Move(_S.ABANDONING, (void,)),
        _N.CONFLICT: _CONFLICT,
        _N.NOT_SEEN_YET: Move(None, (look_up,)),
        _N.NEVER_SEEN: Move(_S.DECLINED, (announce_declined,)),
        _N.NO_ANSWER: Move(None, (look_up,)),
        **_stay(_N.REQUESTED, _N.RENEWAL_DUE, _N.EXPIRING, _N.ACTION),
    },
    _S.AUTHORISED: {
        _N.CAPTURE_DUE: Move(_S.CAPTURING, (remember_capture, capture)),
        _N.CANCELLED: Move(_S.VOIDING, (void,)),
        _N.RENEWAL_DUE: Move(_S.RENEWING, (renew,)),
        _N.EXPIRING: Move(None, (alarm("payment.promise_expiring", "renew"), watch_end)),
        _N.CAPTURED: Move(_S.CAPTURED, (book_capture,)),  # somebody took it at the provider's desk
        _N.DECLINED: _LAPSE,
        _N.VOIDED: _LAPSE,
        _N.EXPIRED: _LAPSE,
        _N.CONFLICT: _CONFLICT,
        _N.NOT_SEEN_YET: Move(None, (look_up,)),
        _N.NEVER_SEEN: _LAPSE,
        _N.NO_ANSWER: Move(None, (look_up,)),
        **_stay(_N.REQUESTED, _N.ACTION_DUE, _N.ACTION, _N.ACTION_OVERDUE, _N.AUTHORISED),
    },
    _S.RENEWING: {
        _N.CAPTURE_DUE: Move(_S.CAPTURING, (remember_capture, drop_new, capture)),
        _N.CANCELLED: Move(_S.VOIDING, (drop_new, void)),
        _N.AUTHORISED: Move(_S.AUTHORISED, (release_old, watch_expiry)),
        _N.CAPTURED: Move(_S.CAPTURED, (release_old, book_capture)),
        **dict.fromkeys(  # the buyer is not there to act, so an action is a no
            (_N.ACTION, _N.ACTION_OVERDUE, _N.DECLINED, _N.VOIDED, _N.EXPIRED, _N.CONFLICT),
            Move(_S.AUTHORISED, (drop_new, alarm("payment.promise_expiring", "renew"), watch_end)),
        ),
        _N.NOT_SEEN_YET: Move(None, (authorise,)),
        _N.NEVER_SEEN: Move(None, (authorise,)),
        _N.NO_ANSWER: Move(None, (look_up,)),
        **_stay(_N.REQUESTED, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING),
    },
    _S.CAPTURING: {
        _N.CANCELLED: Move(_S.CANCELLING),
        _N.ACTION: Move(_S.LAPSED, (alarm("payment.capture_failed", "capture"), void)),
        _N.ACTION_OVERDUE: Move(_S.LAPSED, (alarm("payment.capture_failed", "capture"), void)),
        _N.AUTHORISED: Move(None, (capture,)),  # the capture did not arrive: again, with the same key
        _N.CAPTURED: Move(_S.CAPTURED, (book_capture,)),
        _N.DECLINED: _LAPSE_CAPTURE,
        _N.VOIDED: _LAPSE_CAPTURE,
        _N.EXPIRED: Move(None, (charge_anew,)),
        _N.CONFLICT: Move(_S.CONFLICTED, (alarm("payment.conflicted", "capture"),)),
        _N.NOT_SEEN_YET: Move(None, (ask_again,)),
        _N.NEVER_SEEN: Move(None, (ask_again,)),
        _N.NO_ANSWER: Move(None, (tell_unknown("capture"), look_up)),
        **_stay(_N.REQUESTED, _N.CAPTURE_DUE, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING),
    },
    _S.CAPTURED: {
        _N.CANCELLED: Move(None, (give_back,)),
        _N.CONFLICT: Move(None, (alarm("payment.conflicted", "capture"),)),
        _N.NEVER_SEEN: Move(None, (alarm("payment.charge_missing", "capture"),)),
        _N.NOT_SEEN_YET: Move(None, (look_up,)),
        _N.NO_ANSWER: Move(None, (look_up,)),
        **_stay(_N.REQUESTED, _N.CAPTURE_DUE, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING),
        **_stay(_N.ACTION, _N.ACTION_OVERDUE, _N.AUTHORISED, _N.CAPTURED, _N.DECLINED, _N.VOIDED, _N.EXPIRED),
    },
    _S.CANCELLING: {
        _N.CAPTURE_DUE: _UNPAID,
        _N.ACTION: Move(_S.VOIDING, (void,)),
        _N.ACTION_OVERDUE: Move(_S.VOIDING, (void,)),
        _N.AUTHORISED: Move(_S.VOIDING, (void,)),
        _N.CAPTURED: _TAKEN_TOO_LATE,
        _N.DECLINED: Move(_S.DECLINED, (announce_declined,)),
        _N.VOIDED: Move(_S.VOIDED, (announce_voided,)),
        _N.EXPIRED: Move(_S.VOIDED, (announce_voided,)),
        _N.NOT_SEEN_YET: Move(None, (look_up,)),
        _N.NEVER_SEEN: Move(_S.VOIDED, (announce_voided,)),
        _N.NO_ANSWER: Move(None, (tell_unknown("void"), look_up)),
        **_stay(_N.REQUESTED, _N.CANCELLED, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING, _N.CONFLICT),
    },
    _S.ABANDONING: {
        _N.CAPTURE_DUE: _UNPAID,
        _N.CANCELLED: Move(_S.VOIDING),  # the void is under way
        _N.ACTION: Move(None, (void,)),
        _N.ACTION_OVERDUE: Move(None, (void,)),
        _N.AUTHORISED: Move(None, (void,)),
        _N.CAPTURED: Move(
            _S.CAPTURED, (announce_authorised, book_capture)
        ),  # paid in the last second, and nobody was told no
        _N.DECLINED: Move(_S.DECLINED, (announce_declined,)),
        _N.VOIDED: Move(_S.DECLINED, (announce_declined,)),
        _N.EXPIRED: Move(_S.DECLINED, (announce_declined,)),
        _N.NOT_SEEN_YET: Move(None, (look_up,)),
        _N.NEVER_SEEN: Move(_S.DECLINED, (announce_declined,)),
        _N.NO_ANSWER: Move(None, (tell_unknown("void"), look_up)),
        **_stay(_N.REQUESTED, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING, _N.CONFLICT),
    },
    _S.VOIDING: {
        _N.CAPTURE_DUE: _UNPAID,
        _N.ACTION: Move(None, (void,)),
        _N.ACTION_OVERDUE: Move(None, (void,)),
        _N.AUTHORISED: Move(None, (void,)),
        _N.CAPTURED: _TAKEN_TOO_LATE,
        _N.DECLINED: Move(_S.VOIDED, (announce_voided,)),
        _N.VOIDED: Move(_S.VOIDED, (announce_voided,)),
        _N.EXPIRED: Move(_S.VOIDED, (announce_voided,)),
        _N.NOT_SEEN_YET: Move(None, (look_up,)),
        _N.NEVER_SEEN: Move(_S.VOIDED, (announce_voided,)),
        _N.NO_ANSWER: Move(None, (tell_unknown("void"), look_up)),
        **_stay(_N.REQUESTED, _N.CANCELLED, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING, _N.CONFLICT),
    },
    _S.VOIDED: {
        _N.CAPTURE_DUE: _UNPAID,
        _N.ACTION: Move(_S.VOIDING, (void,)),
        _N.AUTHORISED: Move(_S.VOIDING, (void,)),  # the request that was thought lost arrived after all
        _N.CAPTURED: _TAKEN_TOO_LATE,
        _N.NO_ANSWER: Move(None, (look_up,)),
        **_stay(_N.REQUESTED, _N.CANCELLED, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING, _N.CONFLICT, _N.ACTION_OVERDUE),
        **_stay(_N.DECLINED, _N.VOIDED, _N.EXPIRED, _N.NOT_SEEN_YET, _N.NEVER_SEEN),
    },
    _S.DECLINED: {
        _N.REQUESTED: Move(_S.AUTHORISING, (begin_again,)),
        _N.CAPTURE_DUE: _UNPAID,
        _N.AUTHORISED: Move(_S.VOIDING, (void,)),
        _N.CAPTURED: _TAKEN_TOO_LATE,
        _N.NO_ANSWER: Move(None, (look_up,)),
        **_stay(_N.CANCELLED, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING, _N.ACTION, _N.ACTION_OVERDUE, _N.CONFLICT),
        **_stay(_N.DECLINED, _N.VOIDED, _N.EXPIRED, _N.NOT_SEEN_YET, _N.NEVER_SEEN),
    },
    _S.LAPSED: {
        _N.CAPTURE_DUE: Move(_S.CAPTURING, (remember_capture, charge_anew)),
        _N.CANCELLED: Move(_S.CANCELLING, (look_up,)),
        _N.AUTHORISED: Move(_S.AUTHORISED, (announce_authorised, watch_expiry, capture_if_due)),
        _N.CAPTURED: Move(_S.CAPTURED, (book_capture,)),
        _N.CONFLICT: _CONFLICT,
        _N.NO_ANSWER: Move(None, (look_up,)),
        **_stay(_N.REQUESTED, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING, _N.ACTION, _N.ACTION_OVERDUE),
        **_stay(_N.DECLINED, _N.VOIDED, _N.EXPIRED, _N.NOT_SEEN_YET, _N.NEVER_SEEN),
    },
    _S.CONFLICTED: {
        _N.CAPTURE_DUE: _UNPAID,
        _N.CANCELLED: Move(_S.CANCELLING, (look_up,)),
        _N.NO_ANSWER: Move(None, (look_up,)),
        **_stay(_N.REQUESTED, _N.ACTION_DUE, _N.RENEWAL_DUE, _N.EXPIRING, _N.ACTION, _N.ACTION_OVERDUE, _N.AUTHORISED),
        **_stay(_N.CAPTURED, _N.DECLINED, _N.VOIDED, _N.EXPIRED, _N.CONFLICT, _N.NOT_SEEN_YET, _N.NEVER_SEEN),
    },
}
