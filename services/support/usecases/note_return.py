"""Note what others do about a return: the parcel, the shelf, the money."""

from services.support.domain.cases import Cases
from shared.contracts.inventory import StockRestocked
from shared.contracts.logistics import ReturnParcelArrived
from shared.contracts.payments import REFUND_BOUNCED, RefundFailed, RefundRequested, RefundSucceeded
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


def note_requested_refund(refund: RefundRequested, cases: Cases, moment: Moment) -> Effects:
    """Money is promised for no return of ours: less is left for returns from now on, for it may be paid out days later."""
    if refund.return_id not in cases.returns:
        cases.purchase(refund.order_id).refunded_outside += refund.amount.amount
    return ()


def note_refund(refund: RefundSucceeded, cases: Cases, moment: Moment) -> Effects:
    """Money went back for a return. What went back without one counts since it was promised."""
    claim = cases.returns.get(refund.return_id)
    if claim is not None:
        claim.refund_succeeded(refund.amount)
        cases.touch(claim)
    return ()


def note_failed_refund(refund: RefundFailed, cases: Cases, moment: Moment) -> Effects:
    """The provider will not refund, or the money came back; a person must look."""
    claim = cases.returns.get(refund.return_id)
    if claim is None:
        cases.purchase(refund.order_id).refunded_outside -= refund.amount.amount
        return ()
    if refund.reason.code == REFUND_BOUNCED:
        claim.refund_bounced(refund.amount)
    else:
        claim.refund_failed()
    cases.touch(claim)
    return ()
