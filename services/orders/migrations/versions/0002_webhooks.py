"""Webhooks: the endpoints of sellers, what each is to hear, and every attempt to tell it."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE webhook_endpoint (
            id text NOT NULL,
            store_id text NOT NULL,
            url text NOT NULL,
            event_types text[] NOT NULL,
            description text NOT NULL,
            state text NOT NULL,
            disabled_because text NOT NULL,
            disabled_at timestamptz,
            secret_version integer NOT NULL,
            previous_secret_until timestamptz,
            failures integer NOT NULL,
            failing_since timestamptz,
            resting_until timestamptz,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            version bigint NOT NULL,
            CONSTRAINT pk_webhook_endpoint PRIMARY KEY (id),
            CONSTRAINT ck_webhook_endpoint_state CHECK (state IN ('enabled', 'disabled')),
            CONSTRAINT ck_webhook_endpoint_reason CHECK ((state = 'disabled') = (disabled_because <> ''))
        )
    """)
    op.execute("CREATE INDEX ix_webhook_endpoint_list ON webhook_endpoint (store_id, created_at DESC, id DESC)")
    op.execute("""
        CREATE TABLE webhook_delivery (
            id text NOT NULL,
            endpoint_id text NOT NULL,
            store_id text NOT NULL,
            event_id text NOT NULL,
            event_type text NOT NULL,
            order_id text NOT NULL,
            status text NOT NULL,
            tries integer NOT NULL,
            attempts integer NOT NULL,
            next_at timestamptz NOT NULL,
            claimed_until timestamptz,
            last_status integer,
            last_error text NOT NULL,
            created_at timestamptz NOT NULL,
            settled_at timestamptz,
            CONSTRAINT pk_webhook_delivery PRIMARY KEY (id),
            CONSTRAINT ck_webhook_delivery_status CHECK (status IN ('pending', 'delivered', 'exhausted', 'skipped'))
        ) WITH (fillfactor = 85)
    """)
    op.execute("CREATE INDEX ix_webhook_delivery_list ON webhook_delivery (store_id, created_at DESC, id DESC)")
    op.execute(
        "CREATE INDEX ix_webhook_delivery_endpoint ON webhook_delivery (endpoint_id, status, created_at DESC, id DESC)"
    )
    op.execute(
        "CREATE INDEX ix_webhook_delivery_waiting ON webhook_delivery (endpoint_id, next_at, id) WHERE status = 'pending'"
    )
    op.execute(
        "CREATE INDEX ix_webhook_delivery_claimed ON webhook_delivery (endpoint_id) WHERE claimed_until IS NOT NULL"
    )
    op.execute("CREATE INDEX ix_webhook_delivery_age ON webhook_delivery USING brin (created_at)")
    op.execute("""
        CREATE TABLE webhook_attempt (
            delivery_id text NOT NULL,
            number integer NOT NULL,
            at timestamptz NOT NULL,
            duration_ms integer NOT NULL,
            status integer,
            error text NOT NULL,
            response text NOT NULL,
            CONSTRAINT pk_webhook_attempt PRIMARY KEY (delivery_id, number)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE webhook_attempt, webhook_delivery, webhook_endpoint")
