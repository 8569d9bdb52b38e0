"""Orders, their lines, recipients, holds and timeline, and the copy of the catalog."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE orders (
            id text NOT NULL,
            store_id text NOT NULL,
            number text NOT NULL,
            market text NOT NULL,
            channel text NOT NULL,
            external_id text NOT NULL,
            content_hash text NOT NULL,
            placed_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            version bigint NOT NULL,
            status text NOT NULL,
            payment_status text NOT NULL,
            fulfilment_status text NOT NULL,
            held boolean NOT NULL,
            facts jsonb NOT NULL,
            reasons jsonb NOT NULL,
            awaits text NOT NULL,
            patient_until timestamptz,
            currency text NOT NULL,
            goods bigint NOT NULL,
            shipping bigint NOT NULL,
            duties bigint NOT NULL,
            taxes bigint NOT NULL,
            fees bigint NOT NULL,
            total bigint NOT NULL,
            country text NOT NULL,
            region text NOT NULL,
            postal_area text NOT NULL,
            payment_mode text NOT NULL,
            payment_method text NOT NULL,
            payment_token text NOT NULL,
            card_fingerprint text NOT NULL,
            refusable boolean NOT NULL,
            incoterm text NOT NULL,
            service text NOT NULL,
            quote_id text NOT NULL,
            CONSTRAINT pk_orders PRIMARY KEY (id),
            CONSTRAINT ck_orders_status CHECK (status IN ('placed', 'confirmed', 'completed', 'rejected', 'cancelled')),
            CONSTRAINT ck_orders_total CHECK (total = goods + shipping + duties + taxes + fees),
            CONSTRAINT ck_orders_amounts CHECK (least(goods, shipping, duties, taxes, fees) >= 0)
        ) WITH (fillfactor = 70)
    """)
    op.execute("CREATE UNIQUE INDEX uq_orders_number ON orders (store_id, number)")
    op.execute(
        "CREATE UNIQUE INDEX uq_orders_external ON orders (store_id, channel, external_id) WHERE external_id != ''"
    )
    op.execute("CREATE INDEX ix_orders_list ON orders (store_id, created_at DESC, id DESC)")
    op.execute("CREATE INDEX ix_orders_status ON orders (store_id, status, created_at DESC, id DESC)")
    op.execute("""
        CREATE TABLE order_line (
            order_id text NOT NULL,
            line integer NOT NULL,
            sku text NOT NULL,
            quantity bigint NOT NULL,
            unit_price bigint NOT NULL,
            total bigint NOT NULL,
            currency text NOT NULL,
            CONSTRAINT pk_order_line PRIMARY KEY (order_id, line),
            CONSTRAINT ck_order_line_quantity CHECK (quantity > 0),
            CONSTRAINT ck_order_line_total CHECK (total = unit_price * quantity)
        )
    """)
    op.execute("""
        CREATE TABLE recipient (
            order_id text NOT NULL,
            store_id text NOT NULL,
            customer_id text NOT NULL,
            name text NOT NULL,
            email text NOT NULL,
            phone text NOT NULL,
            line1 text NOT NULL,
            line2 text NOT NULL,
            city text NOT NULL,
            region text NOT NULL,
            postcode text NOT NULL,
            country text NOT NULL,
            CONSTRAINT pk_recipient PRIMARY KEY (order_id)
        )
    """)
    op.execute("""
        CREATE TABLE order_hold (
            order_id text NOT NULL,
            code text NOT NULL,
            store_id text NOT NULL,
            reasons jsonb NOT NULL,
            since timestamptz NOT NULL,
            CONSTRAINT pk_order_hold PRIMARY KEY (order_id, code)
        )
    """)
    op.execute("CREATE INDEX ix_order_hold_code ON order_hold (store_id, code, order_id)")
    op.execute("""
        CREATE TABLE timeline_event (
            order_id text NOT NULL,
            event_id text NOT NULL,
            type text NOT NULL,
            topic text NOT NULL,
            sequence bigint NOT NULL,
            cause text NOT NULL,
            at timestamptz NOT NULL,
            payload text NOT NULL,
            CONSTRAINT pk_timeline_event PRIMARY KEY (order_id, event_id)
        )
    """)
    op.execute("""
        CREATE TABLE offer (
            sku text NOT NULL,
            store_id text NOT NULL,
            version bigint NOT NULL,
            withdrawn boolean NOT NULL,
            prices jsonb NOT NULL,
            CONSTRAINT pk_offer PRIMARY KEY (sku)
        )
    """)
    # What happened is not rewritten.
    op.execute("REVOKE UPDATE, DELETE ON timeline_event, order_line FROM orders_app")


def downgrade() -> None:
    op.execute("DROP TABLE offer, timeline_event, order_hold, recipient, order_line, orders")
