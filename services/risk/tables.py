"""Risk's tables. Rows are locked in the order in which they stand here, keys sorted."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import new_metadata

metadata: MetaData = new_metadata()


def _instant(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


# One row an order: its keys (hashes only), what was counted, and the assessment with everything that it looked at.
order_file = Table(
    "order_file",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("stage", Text, nullable=False),
    Column("market", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("placed_second", BigInteger, nullable=False),
    Column("own_counts", JSONB, nullable=False),
    Column("signals", JSONB, nullable=False),
    Column("seen_card", Text, nullable=False),
    Column("counted", JSONB, nullable=False),
    Column("waiting", JSONB, nullable=False),
    Column("assessment_id", Text),
    Column("rule_set", Text),
    Column("decision", Text),
    Column("verdict", Text),
    Column("score", Integer),
    Column("findings", JSONB),
    Column("operands", JSONB),
    _instant("as_of", nullable=True),
    _instant("assessed_at", nullable=True),
    CheckConstraint("stage IN ('expected', 'open', 'closed')", name="stage"),
    CheckConstraint("decision IN ('approve', 'review', 'reject')", name="decision"),
    CheckConstraint("(assessment_id IS NULL) = (decision IS NULL)", name="assessed"),
)

review = Table(
    "review",
    metadata,
    Column("review_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("cause", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("rule_set", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("reasons", JSONB, nullable=False),
    _instant("opened_at"),
    _instant("due_at"),
    Column("overdue", Boolean, nullable=False),
    Column("decided_by", Text, nullable=False),
    _instant("decided_at", nullable=True),
    Column("note", Text, nullable=False),
    CheckConstraint("status IN ('open', 'approved', 'rejected', 'closed')", name="status"),
    CheckConstraint("(decided_at IS NOT NULL) = (status IN ('approved', 'rejected'))", name="decided"),
    Index("ix_review_order", "order_id", "cause", unique=True),
)
Index("ix_review_queue", review.c.store_id, text("(status <> 'open')"), review.c.due_at, review.c.review_id)
Index("ix_review_open", review.c.overdue, postgresql_where=review.c.status == "open")

# The newest seconds of one key of one store, and the newest other cards and e-mails seen under it, packed (domain/velocity.py).
velocity_key = Table(
    "velocity_key",
    metadata,
    Column("key", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("newest", BigInteger, nullable=False),
    Column("folded", Boolean, nullable=False),
    Column("entries", LargeBinary, nullable=False),
    Column("sightings", LargeBinary, nullable=False),
    _instant("touched_at"),
    # No index on touched_at: with free space on the page an update then writes no index at all.
    postgresql_with={"fillfactor": 80},
)

# The tree of a busy key: days of all time, hours of a day, minutes of an hour, seconds of a minute. Read and written under its key's lock.
velocity_node = Table(
    "velocity_node",
    metadata,
    Column("key", Text, primary_key=True),
    Column("level", SmallInteger, primary_key=True),
    Column("place", BigInteger, primary_key=True),
    Column("tally", LargeBinary, nullable=False),
    CheckConstraint("level BETWEEN 0 AND 3", name="level"),
)

# Rule sets by the hash of their content. Never changed, never deleted: assessments refer to them.
rule_set = Table(
    "rule_set",
    metadata,
    Column("id", Text, primary_key=True),
    Column("document", JSONB, nullable=False),
    _instant("created_at"),
)

# Which set decided for a store from when on: the newest. Append-only.
rule_set_activation = Table(
    "rule_set_activation",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("rule_set", Text, nullable=False),
    Column("activated_by", Text, nullable=False),
    _instant("activated_at"),
    Index("ix_rule_set_activation_store", "store_id", "number"),
)
