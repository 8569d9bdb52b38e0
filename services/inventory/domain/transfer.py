"""Goods on their way between two warehouses of a store: in transit, on hand nowhere, promised to nobody.

What was shipped is in transit, or came, or came damaged, or was given up as short: always, for every line. What came beyond it is over.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from services.inventory.domain.movement import MovementKind


class TransferStatus(StrEnum):
    """Where a transfer is. Received is final."""

    IN_TRANSIT = "in_transit"
    RECEIVED = "received"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What one receipt found of a SKU, in units: good ones (`received`) and `damaged` ones. `reason` is of the differences."""

    sku: str
    received: int
    damaged: int
    reason: str


@dataclass(frozen=True, slots=True)
class Posting:
    """One entry that a receipt makes in the destination's ledger: changes of what is on hand there and in transit."""

    kind: MovementKind
    on_hand: int
    in_transit: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLine:
    """Units of a SKU. `arrived` are good ones of those shipped; `over` are good ones beyond them."""

    sku: str
    shipped: int
    arrived: int = 0
    damaged: int = 0
    short: int = 0
    over: int = 0

    @property
    def in_transit(self) -> int:
        return self.shipped - self.arrived - self.damaged - self.short

    def after(self, found: Arrival) -> tuple["TransferLine", list[Posting]]:
        """The line after this receipt, and what it enters. At most `in_transit` can be damaged: see `Transfer.more_damaged`."""
        expected = self.in_transit - found.damaged
        arrived, over = min(found.received, expected), max(0, found.received - expected)
        line = replace(
            self, arrived=self.arrived + arrived, damaged=self.damaged + found.damaged, over=self.over + over
        )
        postings = [
            Posting(MovementKind.TRANSFER_IN, arrived, -arrived),
            Posting(MovementKind.TRANSFER_DAMAGED, 0, -found.damaged, found.reason),
            Posting(MovementKind.TRANSFER_OVER, over, 0, found.reason),
        ]
        return line, [posting for posting in postings if posting.on_hand or posting.in_transit]

    def given_up(self, reason: str) -> tuple["TransferLine", list[Posting]]:
        """The line when nothing more comes."""
        missing = self.in_transit
        postings = [Posting(MovementKind.TRANSFER_SHORT, 0, -missing, reason)] if missing else []
        return replace(self, short=self.short + missing), postings


@dataclass(slots=True, kw_only=True)
class Transfer:
    """Goods from `source` to `destination`, warehouses of one store. Its SKUs never change. `stored` and `changed` are for saving."""

    id: str
    store_id: str
    source: str
    destination: str
    reason: str
    shipped_at: datetime
    actor: str
    lines: dict[str, TransferLine]
    status: TransferStatus = TransferStatus.IN_TRANSIT
    received_at: datetime | None = None
    stored: bool = False
    changed: bool = False

    @property
    def in_transit(self) -> int:
        return sum(line.in_transit for line in self.lines.values())

    def unknown(self, found: Iterable[Arrival]) -> str | None:
        """A SKU that arrived and was never shipped in this transfer."""
        return next((arrival.sku for arrival in found if arrival.sku not in self.lines), None)

    def more_damaged(self, found: Iterable[Arrival]) -> Arrival | None:
        """More is damaged than is in transit: those units never were in the books."""
        return next((arrival for arrival in found if arrival.damaged > self.lines[arrival.sku].in_transit), None)

    def unexplained(self, found: Iterable[Arrival], *, complete: bool, reason: str) -> str | None:
        """A SKU that differs from what is in transit, without anybody's reason."""
        left = {sku: line.in_transit for sku, line in self.lines.items()}
        for arrival in found:
            left[arrival.sku] -= arrival.received + arrival.damaged
            if (arrival.damaged or left[arrival.sku] < 0) and not arrival.reason:
                return arrival.sku
        missing = (sku for sku, units in left.items() if units > 0 and complete and not reason)
        return next(missing, None)

    def receive(
        self, found: Iterable[Arrival], *, complete: bool, reason: str, now: datetime
    ) -> list[tuple[str, Posting]]:
        """What came, and whether nothing more will. The transfer is received when nothing is in transit. Returns the entries by SKU."""
        entries: list[tuple[str, Posting]] = []
        for arrival in found:
            self._turn(arrival.sku, self.lines[arrival.sku].after(arrival), entries)
        for sku in sorted(self.lines) if complete else ():
            self._turn(sku, self.lines[sku].given_up(reason), entries)
        if not self.in_transit:
            self.status, self.received_at = TransferStatus.RECEIVED, now
        self.changed = True
        return entries

    def _turn(self, sku: str, step: tuple[TransferLine, list[Posting]], entries: list[tuple[str, Posting]]) -> None:
        self.lines[sku], postings = step
        entries.extend((sku, posting) for posting in postings)


@dataclass(slots=True)
class Transfers:
    """The transfers of a batch, by id."""

    by_id: dict[str, Transfer] = field(default_factory=dict[str, Transfer])

    def get(self, transfer_id: str, store_id: str) -> Transfer | None:
        """The store's transfer; another store's is none."""
        transfer = self.by_id.get(transfer_id)
        return transfer if transfer and transfer.store_id == store_id else None

    def ship(self, transfer: Transfer) -> None:
        """A new one is on its way."""
        transfer.changed = True
        self.by_id[transfer.id] = transfer
