"""The kit's tables, and what the application role may do."""

from alembic import context, op

revision = "k0001"
down_revision = None

_DDL = """
CREATE TABLE stream_head (
    topic text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    halted boolean NOT NULL DEFAULT false,
    CONSTRAINT pk_stream_head PRIMARY KEY (topic, key)
) WITH (fillfactor = 80);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_outbox PRIMARY KEY,
    event_id text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    headers jsonb NOT NULL,
    payload text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    CONSTRAINT ck_outbox_size CHECK (octet_length(payload) < 900000)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE UNIQUE INDEX ix_outbox_stream ON outbox (topic, key, sequence);
CREATE INDEX ix_outbox_unpublished ON outbox (id) WHERE published_at IS NULL;

CREATE TABLE stream_position (
    consumer text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    version bigint NOT NULL,
    sequence bigint NOT NULL,
    parked integer NOT NULL DEFAULT 0,
    halted boolean NOT NULL DEFAULT false,
    CONSTRAINT pk_stream_position PRIMARY KEY (consumer, topic, key)
) WITH (fillfactor = 80);

CREATE TABLE parked_message (
    consumer text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    headers jsonb NOT NULL,
    payload text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_parked_message PRIMARY KEY (consumer, topic, key, sequence)
);

CREATE TABLE dead_letter (
    id text CONSTRAINT pk_dead_letter PRIMARY KEY,
    source text NOT NULL,
    consumer text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    headers jsonb NOT NULL,
    payload text NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'open',
    note text NOT NULL DEFAULT '',
    settled_at timestamptz
);
CREATE INDEX ix_dead_letter_open ON dead_letter (failed_at) WHERE state = 'open';

CREATE TABLE deadline (
    kind text NOT NULL,
    key text NOT NULL,
    due_at timestamptz NOT NULL,
    claimed_until timestamptz,
    context jsonb NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    CONSTRAINT pk_deadline PRIMARY KEY (kind, key)
);
CREATE INDEX ix_deadline_due ON deadline (due_at);

CREATE TABLE outside_call (
    id text CONSTRAINT pk_outside_call PRIMARY KEY,
    kind text NOT NULL,
    key text NOT NULL,
    request jsonb NOT NULL,
    context jsonb NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
);
CREATE INDEX ix_outside_call_waiting ON outside_call (next_at) WHERE done_at IS NULL;

CREATE TABLE idempotency_key (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_idempotency_key PRIMARY KEY (scope, key)
);
CREATE INDEX ix_idempotency_key_age ON idempotency_key (created_at);

CREATE TABLE api_key (
    key_hash text CONSTRAINT pk_api_key PRIMARY KEY,
    prefix text NOT NULL,
    store_id text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE relay_lease (
    name text CONSTRAINT pk_relay_lease PRIMARY KEY,
    owner text NOT NULL,
    epoch bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    # The application may write every table that is made from here on; a migration revokes what it must not have.
    role = f"{context.config.attributes['service']}_app"
    op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}")
    op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO {role}")
    for statement in _DDL.split(";\n"):
        if statement.strip():
            op.execute(statement)
    # It reads keys and migrations, and makes neither.
    op.execute(f"REVOKE INSERT, UPDATE, DELETE ON api_key FROM {role}")
