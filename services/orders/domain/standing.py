"""Where an order stands: all that decides about it, and nothing else."""

from dataclasses import dataclass
from enum import StrEnum

from services.orders.domain.facts import NOTHING_KNOWN, Facts
from shared.contracts.values import PaymentMethod, PaymentMode

STOREFRONT = "storefront"


class Status(StrEnum):
    """The first of three axes; where the money and the parcels are is told by the other two."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Nothing follows from any further fact."""
        return self not in (Status.PLACED, Status.CONFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentTerms:
    """How the buyer pays. `token` is the provider's, never a card number."""

    mode: PaymentMode
    method: PaymentMethod
    token: str = ""
    card_fingerprint: str = ""


@dataclass(slots=True, kw_only=True)
class Standing:
    """The facts, and what kind of order they are about. Every rule of this package is a function of it."""

    channel: str
    refusable: bool  # false for what a channel has sold: lacking stock it waits
    terms: PaymentTerms
    status: Status = Status.PLACED
    facts: Facts = NOTHING_KNOWN

    @property
    def from_storefront(self) -> bool:
        """Whether the buyer ordered here. What a channel has sold is not rejected by the rules of risk alone."""
        return self.channel == STOREFRONT

    @property
    def channel_has_money(self) -> bool:
        """Whether the buyer has paid already, at the channel. In a pre-sale the channel asks before it takes the money."""
        return self.terms.mode is PaymentMode.COLLECTED_BY_CHANNEL and not self.refusable
