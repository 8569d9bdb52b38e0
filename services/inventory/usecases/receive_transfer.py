"""Goods of a transfer come, with what differs from what was shipped."""

from dataclasses import dataclass

from services.inventory.domain import errors
from services.inventory.domain.shelves import Shelves
from services.inventory.domain.transfer import Arrival, TransferStatus
from services.inventory.usecases.ship_transfer import shape
from shared.effects import Decision, Moment, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveTransfer:
    """What was found, each SKU once. `complete`: nothing more comes, what is missing is short. `reason` is of what is missing."""

    transfer_id: str
    arrivals: tuple[Arrival, ...]
    complete: bool
    reason: str


def receive_transfer(command: ReceiveTransfer, shelves: Shelves, now: Moment) -> Decision:
    """What came is on hand at the destination and serves who waits; short, over and damaged units are entries with a reason."""
    transfer = shelves.transfers.get(command.transfer_id, now.store_id)
    if transfer is None:
        return errors.unknown_transfer(command.transfer_id)
    if transfer.status is TransferStatus.RECEIVED:
        return errors.transfer_is_received(command.transfer_id)
    if (sku := transfer.unknown(command.arrivals)) is not None:
        return errors.not_in_transfer(sku, command.transfer_id)
    if (found := transfer.more_damaged(command.arrivals)) is not None:
        return errors.more_damaged(found.sku, found.damaged, transfer.lines[found.sku].in_transit)
    if (sku := transfer.unexplained(command.arrivals, complete=command.complete, reason=command.reason)) is not None:
        return errors.reason_missing(sku)
    shelves.receive(transfer, command.arrivals, complete=command.complete, reason=command.reason, now=now)
    return [*shelves.settle((), now), Reply(shape(transfer), status=200)]
