"""Support and payments together over one order: whatever crosses whatever, the money that left is never more than was taken,
and what a return is owed is neither lost nor counted twice.

Each service keeps its own queue of the other's events, so that a goodwill refund, a receipt, a failure and a refund by hand
meet in every order of arrival.
"""

from collections import deque
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.payments.domain.charge import ProviderRefund, RefundStatus
from services.payments.domain.refund import LIVE, RefundState
from services.payments.usecases.hear_webhook import HearWebhook
from services.payments.usecases.request_refund import RequestRefund
from services.support.domain.returns import Return
from services.support.usecases.note_return import note_failed_refund, note_refund, note_requested_refund
from shared.contracts.payments import RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.registry import Event
from shared.contracts.topics import REFUND
from shared.contracts.values import Grade, PaymentMethod
from shared.errors import Refusal
from tests.builders import payments as at_payments
from tests.builders.support import a_line, a_moment, a_placed, cases_of, euros, found, receive, request

ORDER, TOTAL = at_payments.ORDER, at_payments.TOTAL
NOTES: dict[type[Event], Any] = {
    RefundRequested: note_requested_refund,
    RefundSucceeded: note_refund,
    RefundFailed: note_failed_refund,
}
some = st.integers(0, 20)
amounts = st.integers(1, 700)


class MoneyOfOneOrder(RuleBasedStateMachine):
    @initialize()
    def pay(self) -> None:
        self.payments = at_payments.World()
        self.payments.hear(at_payments.a_payment_request(method=PaymentMethod.WALLET))
        self.payments.settle()
        self.cases = cases_of(a_placed((("A", 3, 700), ("B", 2, 500)), order_id=ORDER, shipping=99))
        self.to_payments: deque[Event] = deque()
        self.told = len(self.payments.events)

    # ── Support ───────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(sku=st.sampled_from("AB"), units=st.integers(1, 3), keeps=st.booleans())
    def take_a_return(self, sku: str, units: int, keeps: bool) -> None:
        made = request(self.cases, ORDER, a_line(sku, units), approve=True, send_back=not keeps)
        self._tell_payments(made)

    @rule(which=some, grade=st.sampled_from([Grade.SELLABLE, Grade.DAMAGED]), units=st.integers(1, 3))
    def receive_a_return(self, which: int, grade: Grade, units: int) -> None:
        returns = [*self.cases.returns.values()]
        if returns:
            claim = returns[which % len(returns)]
            (line,) = claim.lines
            self._tell_payments(receive(self.cases, claim, found(line.sku, min(units, line.quantity), grade)))

    @rule()
    def support_hears(self) -> None:
        if self.told < len(self.payments.events):
            event = self.payments.events[self.told]
            self.told += 1
            if event.topic is REFUND:
                NOTES[type(event)](event, self.cases, a_moment())

    # ── Payments ──────────────────────────────────────────────────────────────────────────────────────────────────

    @rule()
    def payments_hears(self) -> None:
        if self.to_payments:
            self.payments.hear(self.to_payments.popleft())

    @rule(which=some)
    def the_provider_answers(self, which: int) -> None:
        if self.payments.calls:
            calls = sorted(self.payments.calls)
            self.payments.answer(calls[which % len(calls)])

    @rule(refuses=st.booleans())
    def the_provider_changes_its_mind(self, refuses: bool) -> None:
        self.payments.provider.refuses_refunds = refuses

    @rule(which=some)
    def a_refund_comes_back(self, which: int) -> None:
        paid = [at for at, refund in enumerate(self._refunds) if refund.status is RefundStatus.SUCCEEDED]
        if paid:
            at = paid[which % len(paid)]
            charge = self.payments.provider.charges[at_payments.PAYMENT]
            bounced = [*charge.refunds]
            bounced[at] = replace(bounced[at], status=RefundStatus.FAILED, failure_code="card_closed")
            self.payments.provider.charges[charge.key] = replace(charge, refunds=tuple(bounced))
            hint = HearWebhook(
                webhook_id="whk", order_id=ORDER, attempt_key=charge.key, status="captured", about_refund=True
            )
            self.payments.hear(hint)

    @rule(amount=amounts)
    def give_goodwill(self, amount: int) -> None:
        self._refund_by_hand(amount, settles_none=True)

    @rule(amount=amounts)
    def refund_without_a_word_about_returns(self, amount: int) -> None:
        owed = self.payments.payment().owed_returns()
        before = len(self.payments.payment().refunds)
        self._refund_by_hand(amount)
        assert not owed or len(self.payments.payment().refunds) == before, "a guess was made"

    @rule(which=some, amount=st.one_of(st.none(), amounts))
    def settle_by_hand(self, which: int, amount: int | None) -> None:
        returns = [*self.cases.returns]
        if returns:
            return_id = returns[which % len(returns)]
            owed = self.payments.payment().owed_to(return_id)
            wanted = amount if amount is not None else (owed.amount if owed else 1)
            self._refund_by_hand(max(1, wanted), return_id=return_id)

    # ── What holds ────────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def no_more_leaves_than_was_taken(self) -> None:
        if hasattr(self, "payments"):
            left = sum(refund.amount for refund in self._refunds if refund.status is not RefundStatus.FAILED)
            assert left <= TOTAL.amount

    @invariant()
    def no_return_is_given_more_than_it_is_owed(self) -> None:
        for return_id in self.cases.returns if hasattr(self, "cases") else ():
            owed = self.payments.payment().owed_to(return_id)
            assert owed is None or owed.amount >= 0

    def teardown(self) -> None:
        if not hasattr(self, "payments"):
            return
        self.payments.provider.refuses_refunds = False
        while self.to_payments or self.payments.calls or self.told < len(self.payments.events):
            self.payments_hears()
            self.payments.settle()
            self.support_hears()
        for claim in self.cases.returns.values():
            self._both_agree_about(claim)
        owed = sum(amount.amount for amount in self.payments.payment().owed_returns().values())
        promised = sum(claim.promised.amount for claim in self.cases.returns.values() if claim.promised)
        left_in_payments = self.payments.payment().refundable(self.payments.payment().current).amount - owed
        left_in_support = TOTAL.amount - self.cases.purchases[ORDER].refunded_outside - promised
        assert left_in_support == left_in_payments, "support caps later returns too low or too high"

    def _both_agree_about(self, claim: Return) -> None:
        payment = self.payments.payment()
        own = [refund for refund in payment.refunds if refund.return_id == claim.id]
        paid = sum(refund.amount.amount for refund in own if refund.state is RefundState.SUCCEEDED)
        assert paid == (claim.refunded.amount if claim.refunded else 0)
        if claim.promised is None:
            assert not own
            return
        owed = payment.owed_to(claim.id)
        assert owed is not None, "what support promised never reached payments"
        assert (claim.refund_owed or euros(0)) == owed
        live = sum(refund.amount.amount for refund in own if refund.state in LIVE)
        assert claim.promised.amount == live + owed.amount

    @property
    def _refunds(self) -> tuple[ProviderRefund, ...]:
        return self.payments.provider.charges[at_payments.PAYMENT].refunds

    def _refund_by_hand(self, amount: int, **other: Any) -> None:
        wish = RequestRefund(
            store_id=at_payments.STORE, order_id=ORDER, amount=euros(amount), reason="by_hand", **other
        )
        self.payments.hear(wish)

    def _tell_payments(self, decision: Any) -> None:
        if not isinstance(decision, Refusal):
            self.to_payments.extend(effect for effect in decision if isinstance(effect, Event))


TestMoneyOfOneOrder = MoneyOfOneOrder.TestCase
TestMoneyOfOneOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
