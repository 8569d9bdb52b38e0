"""The kit's own tables, the same in every service's database. Their migration is `shared/migrations/versions/`."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import new_metadata

metadata: MetaData = new_metadata()
_now = text("now()")


def _instant(name: str, *, nullable: bool = False, default: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=_now if default else None)


# The last sequence given out for a stream that this service publishes.
stream_head = Table(
    "stream_head",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("halted", Boolean, nullable=False, server_default=text("false")),
)

# Events committed with the state that caused them, until the relay has published them and 7 days after.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("payload", Text, nullable=False),
    _instant("created_at", default=True),
    _instant("published_at", nullable=True),
    Index("ix_outbox_stream", "topic", "key", "sequence", unique=True),
)
Index("ix_outbox_unpublished", outbox.c.id, postgresql_where=outbox.c.published_at.is_(None))

# How far a consumer has come in a stream. Every write raises `version`, so that a writer sees that another was faster.
stream_position = Table(
    "stream_position",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("parked", Integer, nullable=False, server_default=text("0")),
    Column("halted", Boolean, nullable=False, server_default=text("false")),
)

# Events that came before their predecessor, or behind one that cannot be decided.
parked_message = Table(
    "parked_message",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("headers", JSONB, nullable=False),
    Column("payload", Text, nullable=False),
    _instant("parked_at", default=True),
)

# What could not be decided, with the reason. `source` is event, record, gap, deadline, call or stream.
dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("consumer", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("payload", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    _instant("failed_at", default=True),
    Column("state", Text, nullable=False, server_default=text("'open'")),  # open, redriven, parked
    Column("note", Text, nullable=False, server_default=text("''")),
    _instant("settled_at", nullable=True),
    _instant("first_failed_at", default=True),
    Index("ix_dead_letter_state", "state", "failed_at", "id"),
)

# What people did to dead letters, and why. The application can add to it and read it, never change it.
operator_action = Table(
    "operator_action",
    metadata,
    Column("id", Text, primary_key=True),
    _instant("at", default=True),
    Column("actor", Text, nullable=False),  # the visible part of the key
    Column("operator", Text, nullable=False),  # the person's name, as they gave it
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Index("ix_operator_action_at", "at", "id"),
    Index("ix_operator_action_subject", "subject", "at", "id"),
)

deadline = Table(
    "deadline",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _instant("due_at"),
    _instant("claimed_until", nullable=True),
    Column("context", JSONB, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Index("ix_deadline_due", "due_at"),
)

outside_call = Table(
    "outside_call",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("context", JSONB, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _instant("next_at"),
    _instant("created_at", default=True),
    _instant("done_at", nullable=True),
)
Index("ix_outside_call_waiting", outside_call.c.next_at, postgresql_where=outside_call.c.done_at.is_(None))

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _instant("created_at", default=True),
    Index("ix_idempotency_key_age", "created_at"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("key_hash", Text, primary_key=True),
    Column("prefix", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    _instant("created_at", default=True),
    _instant("revoked_at", nullable=True),
)

relay_lease = Table(
    "relay_lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    _instant("expires_at"),
)

# The last record of each partition that Kafka acknowledged: a log that has another one there is another log.
published_landmark = Table(
    "published_landmark",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("record_offset", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("stamp", BigInteger, nullable=False),  # the record's time, milliseconds since 1970
    Column("cluster_id", Text, nullable=False),
)

# How far the published rows of lost logs have been published again.
republication = Table(
    "republication",
    metadata,
    Column("name", Text, primary_key=True),
    Column("topics", ARRAY(Text), nullable=False),
    Column("after_id", BigInteger, nullable=False),
    Column("until_id", BigInteger, nullable=False),
    _instant("began_at", default=True),
)
