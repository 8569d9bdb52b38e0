"""The tables of orders. Rows are locked in the order in which they stand here, keys sorted.

There are no foreign keys between them: an order's rows are written in one transaction and never deleted, and their checks
would cost a look-up a row on the way of every order.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import new_metadata

metadata: MetaData = new_metadata()

orders = Table(
    "orders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("market", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("content_hash", Text, nullable=False),  # of what a channel sent; empty for the storefront's
    Column("placed_at", DateTime(timezone=True), nullable=False),  # by the buyer's or the channel's clock
    Column("created_at", DateTime(timezone=True), nullable=False),  # by ours
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("payment_status", Text, nullable=False),
    Column("fulfilment_status", Text, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("facts", JSONB, nullable=False),  # only what differs from knowing nothing
    Column("reasons", JSONB, nullable=False),  # why it was rejected
    Column("awaits", Text, nullable=False),
    Column("patient_until", DateTime(timezone=True)),
    Column("currency", Text, nullable=False),
    Column("goods", BigInteger, nullable=False),
    Column("shipping", BigInteger, nullable=False),
    Column("duties", BigInteger, nullable=False),
    Column("taxes", BigInteger, nullable=False),
    Column("fees", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("country", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("postal_area", Text, nullable=False),
    Column("payment_mode", Text, nullable=False),
    Column("payment_method", Text, nullable=False),
    Column("payment_token", Text, nullable=False),
    Column("card_fingerprint", Text, nullable=False),
    Column("refusable", Boolean, nullable=False),
    Column("incoterm", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("quote_id", Text, nullable=False),
    Column("channel_fee", BigInteger),  # what the channel keeps of the sale: known, and not charged to the buyer
    CheckConstraint("status IN ('placed', 'confirmed', 'completed', 'rejected', 'cancelled')", name="status"),
    CheckConstraint("total = goods + shipping + duties + taxes + fees", name="total"),
    CheckConstraint("least(goods, shipping, duties, taxes, fees) >= 0", name="amounts"),
    Index("uq_orders_number", "store_id", "number", unique=True),
    # A dozen facts update each row: room on its page, and no index on what they change, keep the indexes still.
    postgresql_with={"fillfactor": 70},
)
Index(
    "uq_orders_external",
    orders.c.store_id,
    orders.c.channel,
    orders.c.external_id,
    unique=True,
    postgresql_where=orders.c.external_id != text("''"),
)
Index("ix_orders_list", orders.c.store_id, desc(orders.c.created_at), desc(orders.c.id))
Index("ix_orders_status", orders.c.store_id, orders.c.status, desc(orders.c.created_at), desc(orders.c.id))

order_line = Table(
    "order_line",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("unit_price", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("total = unit_price * quantity", name="total"),
)

# Personal data, apart from all else, so that it can be handed out and erased apart.
recipient = Table(
    "recipient",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("line1", Text, nullable=False),
    Column("line2", Text, nullable=False),
    Column("city", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("postcode", Text, nullable=False),
    Column("country", Text, nullable=False),
)

# The holds that are open now; those that were are told by the timeline.
order_hold = Table(
    "order_hold",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("reasons", JSONB, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Index("ix_order_hold_code", "store_id", "code", "order_id"),
)

# Every event of every service about an order, as it was heard.
timeline_event = Table(
    "timeline_event",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("payload", Text, nullable=False),  # read a handful of times, written a dozen times an order: text is cheaper
)

# The copy of the catalog that prices come from.
offer = Table(
    "offer",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
    Column("prices", JSONB, nullable=False),  # by market, the market's own currency first
)

# Where a seller wants to be told of what happens to their orders. Secrets are derived, not stored: `secret_version` says which.
webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("id", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("event_types", ARRAY(Text), nullable=False),  # patterns
    Column("description", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("disabled_because", Text, nullable=False),  # by_owner, gone, failing
    Column("disabled_at", DateTime(timezone=True)),
    Column("secret_version", Integer, nullable=False),
    Column("previous_secret_until", DateTime(timezone=True)),
    Column("failures", Integer, nullable=False),  # in a row
    Column("failing_since", DateTime(timezone=True)),  # nothing but failures since
    Column("resting_until", DateTime(timezone=True)),  # the breaker is open
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("state IN ('enabled', 'disabled')", name="state"),
    CheckConstraint("(state = 'disabled') = (disabled_because <> '')", name="reason"),
)
Index(
    "ix_webhook_endpoint_list",
    webhook_endpoint.c.store_id,
    desc(webhook_endpoint.c.created_at),
    desc(webhook_endpoint.c.id),
)

# What one endpoint is to be told of one event; what it says is read from the timeline. Kept 30 days.
webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", Text, primary_key=True),
    Column("endpoint_id", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("order_id", Text, nullable=False),  # empty for a ping
    Column("status", Text, nullable=False),
    Column("tries", Integer, nullable=False),  # since it was last asked for
    Column("attempts", Integer, nullable=False),  # in all; raised by a claim, so that it tells claims apart
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("claimed_until", DateTime(timezone=True)),
    Column("last_status", Integer),
    Column("last_error", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('pending', 'delivered', 'exhausted', 'skipped')", name="status"),
    postgresql_with={"fillfactor": 85},
)
_of_delivery = webhook_delivery.c
Index("ix_webhook_delivery_list", _of_delivery.store_id, desc(_of_delivery.created_at), desc(_of_delivery.id))
Index(
    "ix_webhook_delivery_endpoint",
    _of_delivery.endpoint_id,
    _of_delivery.status,
    desc(_of_delivery.created_at),
    desc(_of_delivery.id),
)
Index(
    "ix_webhook_delivery_waiting",
    _of_delivery.endpoint_id,
    _of_delivery.next_at,
    _of_delivery.id,
    postgresql_where=_of_delivery.status == text("'pending'"),
)
Index(
    "ix_webhook_delivery_claimed",
    _of_delivery.endpoint_id,
    postgresql_where=_of_delivery.claimed_until.is_not(None),
)
Index("ix_webhook_delivery_age", _of_delivery.created_at, postgresql_using="brin")

# Each attempt to deliver, with what the endpoint answered.
webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("status", Integer),  # none where there was no answer
    Column("error", Text, nullable=False),
    Column("response", Text, nullable=False),  # the first KiB
)

# How far a connected channel's orders were read. `claim` grows with each lease, so that who lost one writes nothing more.
channel_intake = Table(
    "channel_intake",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("cursor", Text, nullable=False),  # the channel's own; empty is the beginning
    Column("anchor", Text, nullable=False),  # a cursor that is older than the overlap: what came late is after it
    Column("next_anchor", Text, nullable=False),
    Column("anchored_at", DateTime(timezone=True), nullable=False),
    Column("swept_at", DateTime(timezone=True), nullable=False),  # when it was last read again from the anchor
    Column("claim", BigInteger, nullable=False),
    Column("claimed_until", DateTime(timezone=True)),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("read_at", DateTime(timezone=True)),
    Column("failures", Integer, nullable=False),  # in a row
)

# What channels sold and ship from their own warehouses. It has no life here: it is counted.
channel_fulfilled = Table(
    "channel_fulfilled",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False),  # by the channel's clock, as the next
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("counted_at", DateTime(timezone=True), nullable=False),  # by ours
    Column("currency", Text, nullable=False),
    Column("goods", BigInteger, nullable=False),
    Column("shipping", BigInteger, nullable=False),
    Column("taxes", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("lines", JSONB, nullable=False),
    CheckConstraint("state IN ('open', 'shipped', 'cancelled')", name="state"),
)
Index(
    "ix_channel_fulfilled_list",
    channel_fulfilled.c.store_id,
    channel_fulfilled.c.channel,
    desc(channel_fulfilled.c.placed_at),
    desc(channel_fulfilled.c.external_id),
)

# What a channel sold and could not be taken in, until it can be.
channel_refusal = Table(
    "channel_refusal",
    metadata,
    Column("store_id", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("cursor", Text, nullable=False),  # the page that it was on
    Column("since", DateTime(timezone=True), nullable=False),
    Column("retry_at", DateTime(timezone=True), nullable=False),
)
