"""Inventory's tables. Rows are locked in this order, keys sorted; locking a stock item guards all else about the SKU."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import new_metadata

metadata: MetaData = new_metadata()
_now = text("now()")

# One row a SKU that was ever stocked or asked for. Whoever decides about the SKU holds its lock: see the README.
stock_item = Table(
    "stock_item",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("store_id", Text, nullable=False, server_default=text("''")),  # empty until a store stocks it
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Index("ix_stock_item_store", "store_id", "sku"),
    postgresql_with={"fillfactor": 70},
)

warehouse = Table(
    "warehouse",
    metadata,
    Column("code", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    CheckConstraint("kind IN ('home', 'overseas', 'bonded', 'marketplace')", name="kind"),
    CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
)

# The last fence against selling what is not there, whatever the code does.
stock_level = Table(
    "stock_level",
    metadata,
    Column("sku", Text, ForeignKey(stock_item.c.sku), primary_key=True),
    Column("warehouse", Text, ForeignKey(warehouse.c.code), primary_key=True),
    Column("on_hand", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    CheckConstraint("reserved BETWEEN 0 AND on_hand", name="promises"),
    postgresql_with={"fillfactor": 70},
)

# One row an order. `skus` are the keys of `demand`; `allocations` is what is held, or after the dispatch what left.
reservation = Table(
    "reservation",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("rank", Text, nullable=False),  # sorts by seniority, see Reservation.rank
    Column("taken_at", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False),
    Column("demand", JSONB, nullable=False),
    Column("skus", ARRAY(Text), nullable=False),
    Column("country", Text, nullable=False),
    Column("refusable", Boolean, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("allocations", JSONB, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=True),
    Column("restocked", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=_now),
    CheckConstraint(
        "status IN ('held', 'committed', 'waiting', 'refused', 'expired', 'broken', 'released', 'consumed')",
        name="status",
    ),
    postgresql_with={"fillfactor": 70},
)
# Who waits for a SKU: asked whenever some comes free, so the many who hold it must not be in the way.
Index(
    "ix_reservation_waiting",
    reservation.c.skus,
    postgresql_using="gin",
    postgresql_where=text("status = 'waiting'"),
)
# Whose hold on a SKU may have to break.
Index(
    "ix_reservation_holding",
    reservation.c.skus,
    postgresql_using="gin",
    postgresql_where=text("status IN ('held', 'committed')"),
)

# Returned goods that are on no shelf, because nobody has set up the warehouse that they are said to be in.
held_return = Table(
    "held_return",
    metadata,
    Column("return_id", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("warehouse", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("held_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("quantity > 0", name="quantity"),
    Index("ix_held_return_warehouse", "store_id", "warehouse"),
)

# The ledger: the application may add to it and read it, no more. Ids rise per SKU, because its lock is held.
movement = Table(
    "movement",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("sku", Text, nullable=False),
    Column("warehouse", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "kind IN ('receipt', 'count', 'write_off', 'correction', 'reserved', 'released', 'expired', 'broken', 'consumed',"
        " 'restocked')",
        name="kind",
    ),
    Index("ix_movement_sku", "sku", "id"),
)

# What people and warehouse systems said; as unchangeable as the ledger.
adjustment = Table(
    "adjustment",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("warehouse", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

channel = Table(
    "channel",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("buffer", BigInteger, nullable=False, server_default=text("0")),
    Column("country", Text, nullable=False, server_default=text("''")),
    CheckConstraint("buffer >= 0", name="buffer"),
)

# Where a SKU's buffer on a channel differs from the channel's own.
channel_buffer = Table(
    "channel_buffer",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("buffer", BigInteger, nullable=False),
    CheckConstraint("buffer >= 0", name="buffer"),
    ForeignKeyConstraint(["store_id", "channel"], [channel.c.store_id, channel.c.name]),
)
