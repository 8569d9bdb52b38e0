"""The working set: the stock, reservations and waiting orders that a batch of messages touches.

Every counter moves through `_enter`, which writes the ledger entry in the same breath: counters are the folded ledger
by construction.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from services.inventory.domain.adjustment import Adjustment
from services.inventory.domain.allocation import Shortage, plan_allocation
from services.inventory.domain.channel import Channel, stock_by_channel, with_storefront
from services.inventory.domain.count import Count, Counts
from services.inventory.domain.held import HeldReturns
from services.inventory.domain.movement import Movement, MovementKind
from services.inventory.domain.policy import Policy
from services.inventory.domain.reservation import HOLD, NEVER, Happening, Reservation, Status, Step
from services.inventory.domain.stock import StockItem
from services.inventory.domain.transfer import Arrival, Transfer, Transfers
from services.inventory.domain.warehouse import Warehouse
from shared.contracts.inventory import ReservationCommitted, StockChanged, StockReserved
from shared.contracts.values import Allocation
from shared.effects import Deadline, Effect, Moment

EXPIRY = "reservation.expiry"
WAITING_RETRY = "waiting.retry"
ANNOUNCE = "stock.announce"


@dataclass(frozen=True, slots=True)
class Round:
    """The SKUs of one round of announcing all stock, and whether others follow."""

    skus: tuple[str, ...]
    more: bool


@dataclass(slots=True)
class Shelves:
    """What a batch touches. `queues` tells for which SKUs the waiting orders are loaded, and after which rank more wait."""

    warehouses: dict[str, Warehouse] = field(default_factory=dict[str, Warehouse])
    channels: dict[str, dict[str, Channel]] = field(default_factory=dict[str, dict[str, Channel]])  # by store, by name
    items: dict[str, StockItem] = field(default_factory=dict[str, StockItem])
    reservations: dict[str, Reservation] = field(default_factory=dict[str, Reservation])
    queues: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    rounds: dict[str, Round] = field(default_factory=dict[str, Round])  # by the key of the announcement
    held: HeldReturns = field(default_factory=HeldReturns)
    counts: Counts = field(default_factory=Counts)
    transfers: Transfers = field(default_factory=Transfers)

    ledger: list[Movement] = field(default_factory=list[Movement])
    adjustments: list[Adjustment] = field(default_factory=list[Adjustment])
    put_warehouses: dict[str, Warehouse] = field(default_factory=dict[str, Warehouse])
    put_channels: dict[tuple[str, str], Channel] = field(default_factory=dict[tuple[str, str], Channel])
    cleared: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])  # channels whose exceptions all end
    put_policies: dict[tuple[str, str, str], Policy | None] = field(
        default_factory=dict[tuple[str, str, str], "Policy | None"]
    )  # by store, channel and SKU; None: the channel's own policy again
    announced: set[str] = field(default_factory=set[str])  # SKUs whose version went up
    told: dict[str, StockChanged] = field(default_factory=dict[str, StockChanged])  # the newest state of each of them
    _touched: set[str] = field(default_factory=set[str])
    _freed: set[str] = field(default_factory=set[str])
    _waiting: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        self._waiting = {order for order, held in self.reservations.items() if held.status is Status.WAITING}

    def reservation(self, order_id: str, now: Moment) -> Reservation:
        """The order's reservation; an unseen one where there is none yet."""
        if order_id not in self.reservations:
            self.reservations[order_id] = Reservation(order_id=order_id, store_id=now.store_id)
        return self.reservations[order_id]

    def item(self, sku: str) -> StockItem:
        """The SKU; an empty one where it has never been in stock."""
        return self.items.setdefault(sku, StockItem(sku))

    def put_warehouse(self, warehouse: Warehouse) -> None:
        """Set a warehouse up, or rename it."""
        self.warehouses[warehouse.code] = self.put_warehouses[warehouse.code] = warehouse

    def put_channel(self, store_id: str, channel: Channel) -> None:
        """Set a channel up, or change it. The policies of SKUs stay as they are, and so does what is measured."""
        known = self.channel(store_id, channel.name) or channel
        channel = replace(channel, policies=known.policies, lag_s=known.lag_s, objective_s=known.objective_s)
        self.channels.setdefault(store_id, {})[channel.name] = channel
        self.put_channels[store_id, channel.name] = channel

    def clear_policies(self, store_id: str, channel: str) -> None:
        """Let every SKU have the channel's own policy there."""
        self.channels[store_id][channel] = replace(self.channels[store_id][channel], policies={})
        self.cleared.add((store_id, channel))
        for key in [key for key in self.put_policies if key[:2] == (store_id, channel)]:
            del self.put_policies[key]

    def put_policies_of(self, store_id: str, channel: str, policies: Mapping[str, Policy | None]) -> None:
        """Let these SKUs have policies of their own there; None for the channel's own."""
        known = self.channels[store_id][channel]
        merged = {**known.policies, **policies}
        kept = {sku: policy for sku, policy in merged.items() if policy is not None}
        self.channels[store_id][channel] = replace(known, policies=kept)
        self.put_policies.update({(store_id, channel, sku): policy for sku, policy in policies.items()})

    def channel(self, store_id: str, name: str) -> Channel | None:
        """The store's channel of that name; its own shop is always there."""
        return with_storefront(self.channels.get(store_id, {})).get(name)

    def channels_of(self, store_id: str) -> Iterable[Channel]:
        """The store's channels, its own shop included."""
        return with_storefront(self.channels.get(store_id, {})).values()

    def reserve(self, reservation: Reservation, now: Moment) -> list[Effect] | Shortage:
        """Hold all that the order needs, or nothing. Returns what to tell, or what is short."""
        # An order is served from its own store's goods only.
        own = {sku: item for sku in reservation.demand if (item := self.item(sku)).store_id == reservation.store_id}
        plan = plan_allocation(reservation.demand, own, self.warehouses, reservation.country)
        if isinstance(plan, Shortage):
            reservation.miss()
            self._note(reservation)
            return plan
        for part in plan:
            self._post(MovementKind.RESERVED, part, reservation, now, reserved=part.quantity)
        reservation.hold(plan, now.decided_at + HOLD if reservation.refusable else None)
        self._note(reservation)
        return list(_told(reservation))

    def give_back(self, reservation: Reservation, status: Status, kind: MovementKind, now: Moment) -> None:
        """End the hold as `status`; exactly what it held is for sale again."""
        for part in reservation.let_go(status):
            self._post(kind, part, reservation, now, reserved=-part.quantity)
        self._note(reservation)

    def consume(self, reservation: Reservation, now: Moment) -> tuple[Allocation, ...]:
        """The planned units left the building. Returns the plan."""
        plan = reservation.consume()
        for part in plan:
            change = -part.quantity
            self._post(MovementKind.CONSUMED, part, reservation, now, on_hand=change, reserved=change)
        return plan

    def ship_unplanned(self, reservation: Reservation, items: tuple[Allocation, ...], now: Moment) -> None:
        """Units left that nothing was held for. What is reserved for others stays theirs; a count tells the rest."""
        for part in items:
            item = self.item(part.sku)
            ours = item.store_id == reservation.store_id and part.warehouse in item.levels
            taken = min(item.levels[part.warehouse].available, part.quantity) if ours else 0
            if taken:
                self._post(MovementKind.CONSUMED, part, reservation, now, on_hand=-taken)
        reservation.ship_unplanned(items)
        self._note(reservation)

    def restock(self, reservation: Reservation, part: Allocation, return_id: str, now: Moment) -> None:
        """Sellable units of a return are on the shelf again. A SKU that nobody had stocked is the store's from now on."""
        reservation.restock(part.sku, part.quantity)
        self.item(part.sku).store_id = reservation.store_id
        self._enter(
            MovementKind.RESTOCKED, part.sku, part.warehouse, return_id, reservation.store_id, now, part.quantity
        )

    def may_stock(self, sku: str, store_id: str) -> bool:
        """Whether the SKU is the store's, or nobody's yet."""
        return self.item(sku).store_id in ("", store_id)

    def adjust(self, adjustment: Adjustment, sku: str, change: int, now: Moment) -> list[Reservation]:
        """Change what is on hand. Returns the reservations that had to break for it."""
        item = self.item(sku)
        item.store_id = adjustment.store_id
        level = item.level(adjustment.warehouse)
        broken = self._break_newest(sku, adjustment.warehouse, level.on_hand + change, now)
        kind = adjustment.kind.movement
        self._enter(kind, sku, adjustment.warehouse, adjustment.id, adjustment.store_id, now, change)
        return broken

    def take_count(self, count: Count, cause: str, now: Moment) -> list[Reservation]:
        """The books follow a count: `on_hand` is there. Returns the reservations that had to break for it."""
        self.item(count.sku).store_id = count.store_id
        broken = self._break_newest(count.sku, count.warehouse, count.on_hand, now)
        self.counts.take(count)
        self._enter(MovementKind.SNAPSHOT, count.sku, count.warehouse, cause, count.store_id, now, count.change)
        return broken

    def ship(self, transfer: Transfer, now: Moment) -> None:
        """Goods leave for another warehouse: at most what is available, whoever calls has seen to that."""
        for line in transfer.lines.values():
            kind, away = MovementKind.TRANSFER_OUT, line.shipped
            self._enter(kind, line.sku, transfer.source, transfer.id, transfer.store_id, now, -away, in_transit=away)
        self.transfers.ship(transfer)

    def receive(
        self, transfer: Transfer, arrivals: Iterable[Arrival], *, complete: bool, reason: str, now: Moment
    ) -> None:
        """What came of a transfer is on the shelf; what did not, or is damaged, is in transit no longer."""
        for sku, entry in transfer.receive(arrivals, complete=complete, reason=reason, now=now.decided_at):
            self._enter(
                entry.kind,
                sku,
                transfer.destination,
                transfer.id,
                transfer.store_id,
                now,
                entry.on_hand,
                in_transit=entry.in_transit,
                reason=entry.reason,
            )

    def settle(self, effects: Iterable[Effect], now: Moment) -> list[Effect]:
        """The end of every decision that moved stock: waiting orders are served first, then the new state is told."""
        return [*effects, *self._serve_waiting(now), *self._announce(now)]

    def announce_all(self, skus: Iterable[str], now: Moment) -> list[Effect]:
        """Tell the state of these SKUs again, because what the channels may sell of them has changed."""
        self._touched.update(skus)
        return self._announce(now)

    def retry(self, sku: str, now: Moment) -> list[Effect]:
        """Look once more who waits for the SKU."""
        self._freed.add(sku)
        return self.settle((), now)

    def _break_newest(self, sku: str, warehouse: str, on_hand: int, now: Moment) -> list[Reservation]:
        level = self.item(sku).level(warehouse)
        broken: list[Reservation] = []
        if level.reserved <= on_hand:
            return broken
        for reservation in sorted(self.reservations.values(), key=lambda held: held.rank, reverse=True):
            if reservation.step(Happening.COUNTED_SHORT) is Step.BREAK and _holds(reservation, sku, warehouse):
                after = Status.BROKEN if reservation.refusable else Status.WAITING
                self.give_back(reservation, after, MovementKind.BROKEN, now)
                broken.append(reservation)
                if level.reserved <= on_hand:
                    break
        return broken

    def _serve_waiting(self, now: Moment) -> Iterator[Effect]:
        freed, self._freed = self._freed, set()
        if not freed:
            return
        for reservation in sorted((self.reservations[order] for order in self._waiting), key=lambda held: held.rank):
            if reservation.step(Happening.STOCK_CAME) is Step.RESERVE and not freed.isdisjoint(reservation.demand):
                effects = self.reserve(reservation, now)
                if not isinstance(effects, Shortage):
                    yield from effects
        for sku in sorted(freed):
            after = self.queues.get(sku, "")
            if after is not None and self.item(sku).on_hand > self.item(sku).reserved:
                yield Deadline(WAITING_RETRY, retry_key(sku, after), now.decided_at)

    def _announce(self, now: Moment) -> list[Effect]:
        touched, self._touched = sorted(self._touched), set()
        return [self._state_of(self.item(sku), now) for sku in touched]

    def _state_of(self, item: StockItem, now: Moment) -> StockChanged:
        item.version += 1
        self.announced.add(item.sku)
        on_hand, reserved = item.on_hand, item.reserved
        state = self.told[item.sku] = StockChanged(
            sku=item.sku,
            version=item.version,
            on_hand=on_hand,
            reserved=reserved,
            available=on_hand - reserved,
            channels=stock_by_channel(item, self.channels_of(item.store_id), self.warehouses),
            as_of=now.decided_at,
        )
        return state

    def _post(
        self,
        kind: MovementKind,
        part: Allocation,
        order: Reservation,
        now: Moment,
        *,
        on_hand: int = 0,
        reserved: int = 0,
    ) -> None:
        self._enter(kind, part.sku, part.warehouse, order.order_id, order.store_id, now, on_hand, reserved)

    def _enter(
        self,
        kind: MovementKind,
        sku: str,
        warehouse: str,
        cause: str,
        store_id: str,
        now: Moment,
        on_hand: int,
        reserved: int = 0,
        *,
        in_transit: int = 0,
        reason: str = "",
    ) -> None:
        self.item(sku).level(warehouse).move(on_hand=on_hand, reserved=reserved)
        entry = Movement(
            sku=sku,
            warehouse=warehouse,
            kind=kind,
            on_hand=on_hand,
            reserved=reserved,
            cause=cause,
            store_id=store_id,
            message_id=now.message_id,
            at=now.decided_at,
            occurred_at=now.occurred_at,
            in_transit=in_transit,
            reason=reason,
        )
        self.ledger.append(entry)
        if on_hand or reserved:
            self._touched.add(sku)
        if on_hand > reserved:
            self._freed.add(sku)
        if on_hand and self.counts.is_in_a_count(entry):
            # The goods moved before the count, and only the word of it came after.
            self._enter(MovementKind.SNAPSHOT, sku, warehouse, cause, store_id, now, -on_hand)

    def _note(self, reservation: Reservation) -> None:
        if reservation.status is Status.WAITING:
            self._waiting.add(reservation.order_id)
        else:
            self._waiting.discard(reservation.order_id)


def retry_key(sku: str, after: str) -> str:
    """The deadline's key: look at who waits for `sku` behind the rank `after` (empty: from the first)."""
    return f"{after}/{sku}"


def parse_retry_key(key: str) -> tuple[str, str]:
    """(sku, after) of a retry key. A rank holds no slash; a SKU may."""
    after, _, sku = key.partition("/")
    return sku, after


def announce_key(store_id: str, after: str) -> str:
    """The deadline's key: announce the store's SKUs behind `after` (empty: from the first)."""
    return f"{store_id}/{after}"


def parse_announce_key(key: str) -> tuple[str, str]:
    """(store id, after) of an announcement's key."""
    store_id, _, after = key.partition("/")
    return store_id, after


def _holds(reservation: Reservation, sku: str, warehouse: str) -> bool:
    return any(part.sku == sku and part.warehouse == warehouse for part in reservation.allocations)


def _told(reservation: Reservation) -> Iterator[Effect]:
    expires_at = reservation.expires_at
    yield StockReserved(
        order_id=reservation.order_id, allocations=reservation.allocations, expires_at=expires_at or NEVER
    )
    if reservation.confirmed:
        yield ReservationCommitted(order_id=reservation.order_id)
    elif expires_at is not None:
        yield Deadline(EXPIRY, reservation.order_id, expires_at)
