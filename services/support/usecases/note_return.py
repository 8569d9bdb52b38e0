"""Note what others do about a return: the parcel, the shelf, the money."""

from dataclasses import replace

from services.support.domain.cases import Cases
from services.support.domain.money_back import KnownRefund, Outcome
from shared.contracts.inventory import RestockHeld, StockRestocked
from shared.contracts.logistics import ReturnParcelArrived
from shared.contracts.payments import CHARGED_TWICE, RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.values import Reason
from shared.effects import Effects, Moment


def note_parcel(arrived: ReturnParcelArrived, cases: Cases, moment: Moment) -> Effects:
    """A parcel came back. One that names no return of ours waits in the warehouse for a person; there is nothing to note here."""
    claim = cases.returns.get(arrived.return_id)
    if claim is not None:
        claim.arrive(arrived.arrived_at)
        cases.touch(claim)
    return ()


def note_restock(restocked: StockRestocked, cases: Cases, moment: Moment) -> Effects:
    """The sellable units are on the shelf."""
    claim = cases.returns[restocked.return_id]
    claim.restocked()
    cases.touch(claim)
    return ()


def note_restock_held(held: RestockHeld, cases: Cases, moment: Moment) -> Effects:
    """The sellable units are on no shelf, because nobody has set up the warehouse that the receipt named."""
    claim = cases.returns[held.return_id]
    claim.restock_held(held.reason)
    cases.touch(claim)
    return ()


def note_requested_refund(refund: RefundRequested, cases: Cases, moment: Moment) -> Effects:
    """Money is on its way: for a return, perhaps less than it is owed; or beside them, and then less is left for returns."""
    told = KnownRefund(amount=refund.amount.amount, outcome=Outcome.UNDER_WAY, surplus=refund.reason == CHARGED_TWICE)
    return _hear(refund, told, cases, refund.reduced)


def note_refund(refund: RefundSucceeded, cases: Cases, moment: Moment) -> Effects:
    """Money went back."""
    return _hear(refund, KnownRefund(amount=refund.amount.amount, outcome=Outcome.PAID), cases)


def note_failed_refund(refund: RefundFailed, cases: Cases, moment: Moment) -> Effects:
    """The provider will not refund, or the money came back. What a return lacks stays owed; a person must look."""
    told = KnownRefund(amount=refund.amount.amount, outcome=Outcome.FAILED)
    return _hear(refund, told, cases, refund.reason)


def _hear(
    refund: RefundRequested | RefundSucceeded | RefundFailed,
    told: KnownRefund,
    cases: Cases,
    because: Reason | None = None,
) -> Effects:
    refunds = cases.purchase(refund.order_id).refunds
    claim = cases.returns.get(refund.return_id)
    if claim is None:
        refunds.hear(refund.refund_id, told)
        return ()
    refunds.hear(refund.refund_id, replace(told, return_id=claim.id))
    claim.follow(refunds.of(claim.id), refund.amount.currency, because)
    cases.touch(claim)
    return ()
