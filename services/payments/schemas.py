"""Requests and responses of the payments API."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.payments.usecases.record_payout import RecordPayout
from services.payments.usecases.request_refund import RequestRefund
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.http import Body, Caller, View, examples
from shared.money import Money

OrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,64}$")]
ReturnId = OrderId


class MoneyIn(Body):
    """Integer minor units as a string or a number, with the ISO 4217 currency: `{"amount": "1299", "currency": "EUR"}`."""

    amount: Annotated[int, Field(gt=0, le=2**63 - 1)]
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]

    def to_money(self) -> Money:
        return Money(self.amount, self.currency)


class RefundIn(Body):
    """Give back a part of what an order paid. `reason` is a code of your own, such as `goodwill` or `late`.

    A return whose refund failed, or met too little, is settled by a refund that names it: at most what it is owed. While one
    is owed, a refund without a name is refused; null says that it settles none.
    """

    model_config = examples(
        {
            "order_id": "ord_01jc2v8k9q4t6x0m3n5p7r9s1v",
            "amount": {"amount": "500", "currency": "EUR"},
            "reason": "goodwill",
        },
        {
            "order_id": "ord_01jc2v8k9q4t6x0m3n5p7r9s1v",
            "amount": {"amount": "1900", "currency": "EUR"},
            "reason": "paid_by_hand",
            "return_id": "ret_01jc2v8k9q4t6x0m3n5p7r9s1v",
        },
    )

    order_id: OrderId
    amount: MoneyIn
    reason: Annotated[str, StringConstraints(pattern="^[a-z][a-z_]{0,39}$")] = "goodwill"
    return_id: ReturnId | None = None

    def to_command(self, caller: Caller) -> RequestRefund:
        return RequestRefund(
            store_id=caller.store_id,
            order_id=self.order_id,
            amount=self.amount.to_money(),
            reason=self.reason,
            return_id=self.return_id or "",
            settles_none=self.return_id is None and "return_id" in self.model_fields_set,
        )


class PayoutIn(Body):
    """The refund was paid out by hand, in full."""

    model_config = examples({"order_id": "ord_01jc2v8k9q4t6x0m3n5p7r9s1v"})

    order_id: OrderId

    def to_command(self, caller: Caller, refund_id: str) -> RecordPayout:
        return RecordPayout(store_id=caller.store_id, order_id=self.order_id, refund_id=refund_id)


class RefundOut(View):
    """A refund. States: waiting (for the capture), sent, by_hand (a person pays it out), succeeded, failed.

    `asked` is what a return wanted where less was left of the charge.
    """

    id: str
    order_id: str
    amount: Money
    reason: str
    state: str
    return_id: str = ""
    failure_code: str = ""
    requested_at: datetime | None = None
    settled_at: datetime | None = None
    asked: Money | None = None


class AttemptOut(View):
    """One charge at the provider. `id` is the idempotency key it was made with."""

    id: str
    number: int
    status: str
    charge_id: str
    fingerprint: str
    decline_code: str
    superseded: bool
    amount: Money
    captured: Money | None
    asked_at: datetime
    expires_at: datetime | None


class EntryOut(View):
    """One side of a ledger transaction: a debit is positive, a credit negative."""

    transaction_id: str
    kind: str
    subject: str
    account: str
    amount: Money
    at: datetime


class PaymentSummary(View):
    """A payment in a list. `attention` is the code of what a person must look at."""

    order_id: str
    payment_id: str
    state: str
    amount: Money
    captured: Money | None
    refunded: Money
    mode: PaymentMode
    method: PaymentMethod
    channel: str
    attention: str
    requested_at: datetime


class PaymentOut(PaymentSummary):
    """A payment with everything about it."""

    action_url: str
    action_expires_at: datetime | None
    attempts: list[AttemptOut]
    refunds: list[RefundOut]
    ledger: list[EntryOut]


class BalanceOut(View):
    """What an account holds in a currency; debits less credits."""

    account: str
    balance: Money


class BalancesOut(View):
    """All accounts of the store. They add up to zero in each currency."""

    data: list[BalanceOut]


class WebhookOut(View):
    """What became of a webhook: asked (the provider is being asked), known already, kept for an order to come, not_ours."""

    status: Literal["asked", "known", "kept", "not_ours"]
