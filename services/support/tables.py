"""Support's tables. Rows are locked in the order in which they stand here, keys sorted."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.database import new_metadata

metadata: MetaData = new_metadata()


def _instant(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


# The copy of an order. Its row is the lock under which all returns of the order are decided. `placed_at` is null while only a later
# fact has come.
purchase = Table(
    "purchase",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("market", Text, nullable=False),
    Column("destination", Text, nullable=False),
    _instant("placed_at"),
    Column("total_amount", BigInteger),
    Column("currency", Text),
    Column("lines", JSONB, nullable=False),
    Column("shipped", JSONB, nullable=False),
    Column("shipped_from", ARRAY(Text), nullable=False),
    _instant("dispatched_at"),
    _instant("delivered_at"),
    _instant("cancelled_at"),
    Column("refunds", JSONB, nullable=False),  # by id, what payments has told about each
    CheckConstraint("(total_amount IS NULL) = (currency IS NULL)", name="money"),
)

return_case = Table(
    "return_case",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("restock", Text, nullable=False),
    Column("refund", Text, nullable=False),
    Column("send_back", Boolean, nullable=False),
    Column("currency", Text),
    Column("promised_amount", BigInteger),
    Column("refunded_amount", BigInteger),
    Column("refused_because", JSONB),
    _instant("requested_at", nullable=False),
    _instant("decided_at"),
    _instant("arrived_at"),
    _instant("received_at"),
    Column("under_way_amount", BigInteger, nullable=False),
    Column("refund_because", JSONB),
    Column("restock_because", JSONB),
    Column("relocated_to", Text),
    CheckConstraint("state IN ('requested', 'approved', 'refused', 'parcel_arrived', 'received')", name="state"),
    CheckConstraint("restock IN ('none', 'pending', 'restocked', 'held')", name="restock"),
    CheckConstraint("refund IN ('none', 'pending', 'refunded', 'failed', 'short')", name="refund"),
    CheckConstraint("promised_amount >= 0 AND refunded_amount >= 0 AND under_way_amount >= 0", name="amounts"),
    Index("ix_return_case_order", "order_id"),
    Index("ix_return_case_list", "store_id", "id"),
)

# What the buyer wants to send back. Written once; a table of its own, so that reasons can be counted by product.
return_line = Table(
    "return_line",
    metadata,
    Column("return_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    CheckConstraint("quantity > 0", name="quantity"),
    Index("ix_return_line_sku", "sku", "reason"),
)

# What was found in the parcel. Written once.
receipt_line = Table(
    "receipt_line",
    metadata,
    Column("return_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("grade", Text, nullable=False),
    Column("warehouse", Text, nullable=False),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("grade IN ('sellable', 'damaged', 'missing')", name="grade"),
)

ticket = Table(
    "ticket",
    metadata,
    Column("id", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("order_id", Text),
    Column("customer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("messages", Integer, nullable=False),
    _instant("opened_at", nullable=False),
    _instant("first_responded_at"),
    Column("first_response_breached", Boolean, nullable=False),
    _instant("clock_stopped_at"),
    _instant("resolved_at"),
    CheckConstraint("status IN ('open', 'resolved')", name="status"),
    Index("ix_ticket_list", "store_id", "id"),
    Index("ix_ticket_order", "order_id"),
)

# Free text of people. It stays here: no event, log or metric carries it.
ticket_message = Table(
    "ticket_message",
    metadata,
    Column("ticket_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("text", Text, nullable=False),
    _instant("written_at", nullable=False),
    CheckConstraint("author IN ('customer', 'staff')", name="author"),
)
