"""Payments' tables. Rows are locked in the order in which they stand here; a payment's lock covers its attempts and refunds."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

from shared.database import new_metadata

metadata: MetaData = new_metadata()


def _instant(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


payment = Table(
    "payment",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("payment_id", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("market", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("token", Text, nullable=False),  # the provider's, never a card number
    Column("claimed_fingerprint", Text, nullable=False),
    _instant("requested_at"),
    Column("state", Text, nullable=False),
    Column("capture_due", Boolean, nullable=False),
    Column("action_url", Text, nullable=False),
    _instant("action_expires_at", nullable=True),
    Column("told", Text, nullable=False),
    Column("attention", Text, nullable=False),
    CheckConstraint("amount >= 0", name="amount"),
    Index("ix_payment_list", "store_id", "requested_at", "order_id"),
)
Index("ix_payment_attention", payment.c.store_id, payment.c.requested_at, postgresql_where=payment.c.attention != "")

# One charge at the provider, under one key. What is promised or given back of it never exceeds what was taken.
payment_attempt = Table(
    "payment_attempt",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("payment.order_id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    _instant("asked_at"),
    Column("status", Text, nullable=False),
    Column("superseded", Boolean, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("decline_code", Text, nullable=False),
    Column("renewable", Boolean, nullable=False),
    _instant("authorised_at", nullable=True),
    _instant("expires_at", nullable=True),
    Column("captured", BigInteger),
    Column("captured_currency", Text),
    Column("given_back", BigInteger, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("silences", Integer, nullable=False),
    CheckConstraint("given_back BETWEEN 0 AND coalesce(captured, amount)", name="given_back"),
    Index("ix_payment_attempt_order_id", "order_id", "number", unique=True),
)

refund = Table(
    "refund",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("payment.order_id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("attempt", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("return_id", Text, nullable=False),
    _instant("requested_at"),
    Column("state", Text, nullable=False),
    Column("failure_code", Text, nullable=False),
    _instant("settled_at", nullable=True),
    Column("booked", Boolean, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("silences", Integer, nullable=False),
    Column("asked", BigInteger),  # what was wanted, where less was left of the charge
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("asked > amount", name="asked"),
    Index("ix_refund_order_id", "order_id"),
)

# A webhook about an order that is not known yet.
early_webhook = Table(
    "early_webhook",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("webhook_id", Text, primary_key=True),
    Column("attempt_key", Text, nullable=False),
    _instant("received_at"),
)

# The ledger is appended to and never changed: the application's role has no right to.
ledger_transaction = Table(
    "ledger_transaction",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    _instant("at"),
    Index("ix_ledger_transaction_order_id", "order_id"),
)

# A debit is positive, a credit negative; a deferred trigger lets no transaction end whose entries do not add up to zero.
ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("transaction_id", Text, ForeignKey("ledger_transaction.id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("account", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Index("ix_ledger_entry_balance", "store_id", "currency", "account", postgresql_include=["amount"]),
)
