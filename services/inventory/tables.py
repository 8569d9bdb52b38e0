"""Inventory's tables. Rows are locked in this order, keys sorted; locking a stock item guards all else about the SKU."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
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
    Column("occurred_at", DateTime(timezone=True), nullable=False),  # by its sender's clock
    Column("in_transit", BigInteger, nullable=False, server_default=text("0")),
    Column("reason", Text, nullable=False, server_default=text("''")),
    CheckConstraint(
        "kind IN ('receipt', 'count', 'snapshot', 'write_off', 'correction', 'reserved', 'released', 'expired', 'broken',"
        " 'consumed', 'restocked', 'transfer_out', 'transfer_in', 'transfer_damaged', 'transfer_short', 'transfer_over')",
        name="kind",
    ),
    Index("ix_movement_sku", "sku", "id"),
)
# What a count as of an earlier instant is brought up to date with. Holds move no goods, so an order's way pays little for it.
Index(
    "ix_movement_goods",
    movement.c.sku,
    movement.c.warehouse,
    movement.c.occurred_at,
    postgresql_where=text(
        "kind IN ('receipt', 'count', 'write_off', 'consumed', 'restocked', 'transfer_out', 'transfer_in', 'transfer_over')"
    ),
)

# Goods on their way between warehouses. Guarded by the locks of its SKUs, which never change.
transfer = Table(
    "transfer",
    metadata,
    Column("id", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("source", Text, ForeignKey(warehouse.c.code), nullable=False),
    Column("destination", Text, ForeignKey(warehouse.c.code), nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("shipped_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=True),
    Column("actor", Text, nullable=False),
    CheckConstraint("status IN ('in_transit', 'received')", name="status"),
    Index("ix_transfer_store", "store_id", "id"),
)
transfer_line = Table(
    "transfer_line",
    metadata,
    Column("transfer_id", Text, ForeignKey(transfer.c.id), primary_key=True),
    Column("sku", Text, ForeignKey(stock_item.c.sku), primary_key=True),
    Column("shipped", BigInteger, nullable=False),
    Column("arrived", BigInteger, nullable=False),
    Column("damaged", BigInteger, nullable=False),
    Column("short", BigInteger, nullable=False),
    Column("over", BigInteger, nullable=False),
    CheckConstraint("least(arrived, damaged, short, over) >= 0", name="units"),
    CheckConstraint("arrived + damaged + short <= shipped", name="in_transit"),
)
Index(
    "ix_transfer_line_in_transit",
    transfer_line.c.sku,
    postgresql_where=text("arrived + damaged + short < shipped"),
)

# The newest count of each source: its version only grows. Guarded by the SKU's lock.
stock_count = Table(
    "stock_count",
    metadata,
    Column("sku", Text, ForeignKey(stock_item.c.sku), primary_key=True),
    Column("warehouse", Text, ForeignKey(warehouse.c.code), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("change", BigInteger, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("counted_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("quantity >= 0", name="quantity"),
    postgresql_with={"fillfactor": 70},
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

# A channel's own policy. `buffer` null: by speed of sale over its lag; `cap` null: none.
channel = Table(
    "channel",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("buffer", BigInteger, nullable=True, server_default=text("0")),
    Column("country", Text, nullable=False, server_default=text("''")),
    Column("cap", BigInteger, nullable=True),
    Column("allotment", BigInteger, nullable=False, server_default=text("0")),
    Column("closed", Boolean, nullable=False, server_default=text("false")),
    Column("units_per_s", Double, nullable=False, server_default=text("0")),
    CheckConstraint("buffer >= 0", name="buffer"),
    CheckConstraint("cap >= 0 AND allotment >= 0 AND units_per_s >= 0", name="policy"),
)

# Where a SKU's policy on a channel differs from the channel's own.
channel_policy = Table(
    "channel_policy",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("buffer", BigInteger, nullable=True),
    Column("cap", BigInteger, nullable=True),
    Column("allotment", BigInteger, nullable=False, server_default=text("0")),
    Column("closed", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("buffer >= 0 AND cap >= 0 AND allotment >= 0", name="policy"),
    ForeignKeyConstraint(["store_id", "channel"], [channel.c.store_id, channel.c.name]),
)

# What each connected channel shall show of each SKU, and what it is known to show: coalesced by being one row. Written by whoever
# holds the SKU's lock, and by the feed. `version` rises with every change of `quantity`, never else: see docs/decisions/0062.
channel_offer = Table(
    "channel_offer",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("sku", Text(collation="C"), primary_key=True),  # channels show their stock in the order of code points
    Column("wanted", BigInteger, nullable=False),  # by the policy
    Column("quantity", BigInteger, nullable=False),  # to be shown: what is wanted, or zero behind a fence
    Column("version", BigInteger, nullable=False),
    Column("urgency", Integer, nullable=False),
    Column("waiting_since", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("next_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("claim", BigInteger, nullable=False, server_default=text("0")),  # numbers the claims
    Column("claimed_until", DateTime(timezone=True), nullable=True),
    Column("sent_quantity", BigInteger, nullable=True),
    Column("sent_version", BigInteger, nullable=False, server_default=text("0")),
    Column("acked_quantity", BigInteger, nullable=True),  # null: never told, or it shows none
    Column("acked_version", BigInteger, nullable=False, server_default=text("0")),
    Column("acked_at", DateTime(timezone=True), nullable=True),
    Column("refusals", Integer, nullable=False, server_default=text("0")),  # in a row
    Column("refused_code", Text, nullable=False, server_default=text("''")),
    Column("refused_detail", Text, nullable=False, server_default=text("''")),
    CheckConstraint("wanted >= 0 AND quantity >= 0", name="quantity"),
    CheckConstraint("acked_version <= version", name="version"),
    postgresql_with={"fillfactor": 70},
)
Index(
    "ix_channel_offer_pending",
    channel_offer.c.store_id,
    channel_offer.c.channel,
    channel_offer.c.urgency,
    channel_offer.c.waiting_since,
    postgresql_where=text("acked_version < version"),
)
# Behind a fence that has opened, and before it is closed.
Index(
    "ix_channel_offer_fenced",
    channel_offer.c.store_id,
    channel_offer.c.channel,
    postgresql_where=text("quantity <> wanted"),
)

# How a connected channel answers, and its share of calls: one bucket for all replicas.
channel_health = Table(
    "channel_health",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("connected", Boolean, nullable=False, server_default=text("true")),
    Column("state", Text, nullable=False, server_default=text("'open'")),
    Column("since", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("delay_s", Double, nullable=False, server_default=text("0")),
    Column("lag_s", Double, nullable=False),  # what a policy may reckon with
    Column("objective_s", Double, nullable=False),
    Column("silent_since", DateTime(timezone=True), nullable=True),  # asked, and no answer since
    Column("answered_at", DateTime(timezone=True), nullable=True),
    Column("failures", Integer, nullable=False, server_default=text("0")),  # in a row
    Column("error", Text, nullable=False, server_default=text("''")),
    Column("busy_until", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("tokens", Double, nullable=False, server_default=text("1")),
    Column("refilled_at", DateTime(timezone=True), nullable=False, server_default=_now),
    CheckConstraint("state IN ('open', 'late', 'fenced')", name="state"),
    postgresql_with={"fillfactor": 50},
)

# What a channel took and has not said the outcome of.
channel_feed = Table(
    "channel_feed",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("feed", Text, primary_key=True),
    Column("made_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("ask_at", DateTime(timezone=True), nullable=False),
    Column("gives_up_at", DateTime(timezone=True), nullable=False),
)

# A comparison of both sides that was asked for, and how far it is. It is finished when `done` has reached `asked`.
channel_resync = Table(
    "channel_resync",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("dry_run", Boolean, primary_key=True),
    Column("asked", BigInteger, nullable=False, server_default=text("1")),  # numbers the requests
    Column("covers", BigInteger, nullable=False, server_default=text("0")),  # the newest one before this pass began
    Column("done", BigInteger, nullable=False, server_default=text("0")),
    Column("cause", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("started_at", DateTime(timezone=True), nullable=True),
    Column("finished_at", DateTime(timezone=True), nullable=True),
    Column("next_at", DateTime(timezone=True), nullable=False, server_default=_now),
    Column("claim", BigInteger, nullable=False, server_default=text("0")),  # numbers the claims
    Column("claimed_until", DateTime(timezone=True), nullable=True),
    Column("reading", Boolean, nullable=False, server_default=text("false")),  # in the middle of a pass
    Column("cursor", Text, nullable=True),  # the channel's, of the next page
    Column("after_sku", Text, nullable=False, server_default=text("''")),
    Column("passes", Integer, nullable=False, server_default=text("0")),  # since it was asked for last
    Column("passed_at", DateTime(timezone=True), nullable=True),
    Column("pages", BigInteger, nullable=False, server_default=text("0")),  # of all passes
    Column("lines", BigInteger, nullable=False, server_default=text("0")),  # of this or the last pass
    Column("different", BigInteger, nullable=False, server_default=text("0")),  # of all passes
    Column("pass_different", BigInteger, nullable=False, server_default=text("0")),
    Column("refused", BigInteger, nullable=False, server_default=text("0")),  # not compared: it does not take them
    Column("moving", BigInteger, nullable=False, server_default=text("0")),  # not compared: they are on their way
    Column("first", JSONB, nullable=False, server_default=text("'[]'")),
    Column("error", Text, nullable=False, server_default=text("''")),
    CheckConstraint("cause IN ('asked', 'newer_version', 'fence')", name="cause"),
    CheckConstraint("done <= covers AND covers <= asked", name="asked"),
    postgresql_with={"fillfactor": 50},
)
