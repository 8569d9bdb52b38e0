"""What the card behind a token does. The list for readers is in the package's docstring."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Operation(StrEnum):
    """What a caller can ask for."""

    CHARGE = "charge"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class Refunds(StrEnum):
    """How refunds to a card end."""

    AT_ONCE = "at_once"
    LATER = "later"
    FAIL = "fail"
    BOUNCE = "bounce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the provider treats a card. `hangs` are the operations that are done and not answered in time."""

    about: str
    decline: str = ""
    declines_again: bool = False
    needs_action: bool = False
    hangs: frozenset[Operation] = field(default_factory=frozenset[Operation])
    slow: bool = False
    webhook_deliveries: int = 1
    webhook_first: bool = False
    flaky: bool = False
    expires_soon: bool = False
    other_card: bool = False
    adds: int = 0
    refunds: Refunds = Refunds.AT_ONCE

    @property
    def noisy(self) -> bool:
        """Whether every change of its charges is told by webhook, whatever the settings say."""
        return self.webhook_first or self.webhook_deliveries > 1


BEHAVIOURS: Mapping[str, Behaviour] = {
    "tok_ok": Behaviour(about="pays"),
    "tok_declined": Behaviour(about="declined: card_declined", decline="card_declined"),
    "tok_insufficient_funds": Behaviour(about="declined: insufficient_funds", decline="insufficient_funds"),
    "tok_3ds": Behaviour(about="the buyer must act at action_url", needs_action=True),
    "tok_timeout_after_charge": Behaviour(about="charges, never answers in time", hangs=frozenset({Operation.CHARGE})),
    "tok_capture_timeout": Behaviour(about="captures, never answers in time", hangs=frozenset({Operation.CAPTURE})),
    "tok_void_timeout": Behaviour(about="voids, never answers in time", hangs=frozenset({Operation.VOID})),
    "tok_refund_timeout": Behaviour(about="refunds, never answers in time", hangs=frozenset({Operation.REFUND})),
    "tok_slow": Behaviour(about="answers late, but answers", slow=True),
    "tok_webhook_twice": Behaviour(about="every webhook about it is heard twice", webhook_deliveries=2),
    "tok_webhook_first": Behaviour(about="every webhook about it is heard before the answer", webhook_first=True),
    "tok_flaky": Behaviour(about="500 once for each key, without charging", flaky=True),
    "tok_expiring": Behaviour(about="its authorisation expires soon", expires_soon=True),
    "tok_renewal_declined": Behaviour(
        about="its authorisation expires soon, a second one for the order is declined",
        expires_soon=True,
        declines_again=True,
    ),
    "tok_other_card": Behaviour(about="another card than the storefront announced", other_card=True),
    "tok_wrong_amount": Behaviour(about="charges one minor unit more than was asked", adds=1),
    "tok_refund_fails": Behaviour(about="refunds are refused after a while", refunds=Refunds.FAIL),
    "tok_refund_pending": Behaviour(about="refunds succeed after a while", refunds=Refunds.LATER),
    "tok_refund_bounces": Behaviour(about="refunds succeed and come back after a while", refunds=Refunds.BOUNCE),
}
_LONGEST_FIRST = sorted(BEHAVIOURS, key=len, reverse=True)


@dataclass(frozen=True, slots=True)
class Card:
    """The card behind a token."""

    behaviour: Behaviour
    fingerprint: str


def card_of(token: str) -> Card | None:
    """The card of `tok_ok` or `tok_ok_anything`; None for a token that was never given out."""
    for name in _LONGEST_FIRST:
        if token == name or token.startswith(f"{name}_"):
            behaviour = BEHAVIOURS[name]
            which = token[len(name) + 1 :] or name.removeprefix("tok_")
            return Card(behaviour, f"fpr_swapped_{which}" if behaviour.other_card else f"fpr_{which}")
    return None
