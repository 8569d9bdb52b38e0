"""Logistics' tables. Rows are locked in the order in which they stand here, keys sorted.

Before all of them stands one advisory lock, `CATALOG_LOCK`: whoever judges papers takes it shared, whoever changes what
papers are judged by (a product, a paper of a SKU) takes it alone. Else an order could be held by the old product while the
new one is looking for held orders, and would be held for ever.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import new_metadata

CATALOG_LOCK = 4_001

metadata: MetaData = new_metadata()


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _instant(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


# An order in logistics: what orders told of it, what the rules say, and how far its shipment is.
consignment = Table(
    "consignment",
    metadata,
    Column("order_id", Text, primary_key=True),
    _text("store_id"),
    _text("destination"),
    _text("state"),
    _text("papers_status"),
    Column("facts", JSONB, nullable=False),  # as placed; never changed
    Column("papers", JSONB, nullable=False),
    Column("allocations", JSONB, nullable=False),
    Column("trouble", JSONB),
    Column("round", Integer, nullable=False),
    _instant("placed_at", nullable=False),
    _instant("changed_at", nullable=False),
    _instant("booked_at"),
    _instant("dispatched_at"),
    _instant("delivered_at"),
    Index("ix_consignment_state", "store_id", "state", "order_id"),
    Index("ix_consignment_papers", "store_id", "papers_status", "order_id"),
)

# Which held orders wait for something about a SKU. Rows exist only while the order is held.
held_line = Table(
    "held_line",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Index("ix_held_line_order_id", "order_id"),
)

parcel = Table(
    "parcel",
    metadata,
    Column("parcel_id", Text, primary_key=True),
    _text("order_id"),
    _text("warehouse"),
    _text("country"),
    Column("items", JSONB, nullable=False),
    Column("gross_grams", BigInteger, nullable=False),
    _text("carrier"),
    _text("service"),
    _text("mode"),
    Column("cost_amount", BigInteger, nullable=False),
    _text("cost_currency"),
    _text("label"),
    Column("attempt", Integer, nullable=False),
    _text("tracking_number"),
    _instant("labelled_at"),
    Column("labelled_on", Date),
    _text("status"),
    _instant("scanned_at"),
    Column("taken", Boolean, nullable=False),
    CheckConstraint("gross_grams > 0", name="weight"),
    Index("ix_parcel_order_id", "order_id"),
    Index("ix_parcel_tracking_number", "tracking_number"),
)
# Carriers use a number again after a year, so it is one parcel's only together with the day of its label.
Index(
    "uq_parcel_tracking",
    parcel.c.carrier,
    parcel.c.tracking_number,
    parcel.c.labelled_on,
    unique=True,
    postgresql_where=parcel.c.tracking_number != "",
)

return_parcel = Table(
    "return_parcel",
    metadata,
    Column("return_id", Text, primary_key=True),
    _text("order_id"),
    Column("lines", JSONB, nullable=False),
    _text("warehouse"),
    _text("country"),
    Column("grams", BigInteger, nullable=False),
    _text("state"),
    _text("carrier"),
    _text("tracking_number"),
    _text("status"),
    _instant("scanned_at"),
    Index("ix_return_parcel_order_id", "order_id"),
    Index("ix_return_parcel_tracking_number", "tracking_number"),
)

# Personal data, and nowhere else but in `document.identifiers`: erased on request.
recipient = Table(
    "recipient",
    metadata,
    Column("order_id", Text, primary_key=True),
    _text("name"),
    _text("email"),
    _text("phone"),
    Column("address", JSONB, nullable=False),
)

# What others supplied, for an order or for a SKU of a store.
document = Table(
    "document",
    metadata,
    Column("document_id", Text, primary_key=True),
    _text("store_id"),
    _text("type"),
    _text("order_id"),
    _text("sku"),
    _text("number"),
    Column("issued_on", Date),
    Column("declared_amount", BigInteger),
    Column("declared_currency", Text),
    Column("identifiers", JSONB, nullable=False),
    _instant("supplied_at", nullable=False),
    CheckConstraint("(order_id = '') <> (sku = '')", name="subject"),
)
Index("ix_document_order_id", document.c.order_id, postgresql_where=document.c.order_id != "")
Index("ix_document_sku", document.c.sku, postgresql_where=document.c.sku != "")

document_file = Table(
    "document_file",
    metadata,
    Column("document_id", Text, primary_key=True),
    _text("name"),
    _text("media_type"),
    Column("content", LargeBinary, nullable=False),
)

# What was made here: data, frozen. The PDF is rendered when somebody wants it.
paper = Table(
    "paper",
    metadata,
    Column("document_id", Text, primary_key=True),
    _text("order_id"),
    _text("kind"),
    _text("number"),
    Column("data", JSONB, nullable=False),
    _instant("frozen_at", nullable=False),
    Index("ix_paper_order_id", "order_id"),
)

# Every scan that carriers told, once.
parcel_scan = Table(
    "parcel_scan",
    metadata,
    Column("webhook_id", Text, primary_key=True),
    _text("order_id"),
    _text("parcel_id"),
    _text("return_id"),
    _text("carrier"),
    _text("tracking_number"),
    _text("word"),
    _text("status"),
    _instant("scanned_at", nullable=False),
    _text("country"),
    Index("ix_parcel_scan_order_id", "order_id", "scanned_at"),
)

# Scans of parcels that nobody knows yet.
stray_scan = Table(
    "stray_scan",
    metadata,
    Column("webhook_id", Text, primary_key=True),
    Column("scan", JSONB, nullable=False),
    _instant("since", nullable=False),
)

# Our copy of the catalog.
product = Table(
    "product",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("titles", JSONB, nullable=False),
    _text("category"),
    _text("hs_code"),
    _text("origin_country"),
    Column("weight_grams", Integer, nullable=False),
    Column("flags", JSONB, nullable=False),
    Column("claims_preference", Boolean, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    _text("store_id"),
)

# Every rule book that ever decided, so that a decision can be replayed.
rulebook = Table(
    "rulebook",
    metadata,
    Column("version", Text, primary_key=True),
    Column("content", JSONB, nullable=False),
    _instant("first_used_at", nullable=False),
)
