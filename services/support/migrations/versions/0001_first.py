"""Orders as support knows them, returns, tickets."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE purchase (
            order_id text NOT NULL,
            store_id text NOT NULL,
            number text NOT NULL,
            channel text NOT NULL,
            market text NOT NULL,
            destination text NOT NULL,
            placed_at timestamptz,
            total_amount bigint,
            currency text,
            lines jsonb NOT NULL,
            shipped jsonb NOT NULL,
            shipped_from text[] NOT NULL,
            dispatched_at timestamptz,
            delivered_at timestamptz,
            cancelled_at timestamptz,
            refunded_outside bigint NOT NULL,
            CONSTRAINT pk_purchase PRIMARY KEY (order_id),
            CONSTRAINT ck_purchase_money CHECK ((total_amount IS NULL) = (currency IS NULL))
        )
    """)
    op.execute("""
        CREATE TABLE return_case (
            id text NOT NULL,
            order_id text NOT NULL,
            store_id text NOT NULL,
            state text NOT NULL,
            restock text NOT NULL,
            refund text NOT NULL,
            send_back boolean NOT NULL,
            currency text,
            promised_amount bigint,
            refunded_amount bigint,
            refused_because jsonb,
            requested_at timestamptz NOT NULL,
            decided_at timestamptz,
            arrived_at timestamptz,
            received_at timestamptz,
            CONSTRAINT pk_return_case PRIMARY KEY (id),
            CONSTRAINT ck_return_case_state CHECK (state IN ('requested', 'approved', 'refused', 'parcel_arrived', 'received')),
            CONSTRAINT ck_return_case_restock CHECK (restock IN ('none', 'pending', 'restocked')),
            CONSTRAINT ck_return_case_refund CHECK (refund IN ('none', 'pending', 'refunded', 'failed')),
            CONSTRAINT ck_return_case_amounts CHECK (promised_amount >= 0 AND refunded_amount >= 0)
        )
    """)
    op.execute("CREATE INDEX ix_return_case_list ON return_case (store_id, id)")
    op.execute("CREATE INDEX ix_return_case_order ON return_case (order_id)")
    op.execute("""
        CREATE TABLE return_line (
            return_id text NOT NULL,
            position integer NOT NULL,
            sku text NOT NULL,
            quantity integer NOT NULL,
            reason text NOT NULL,
            CONSTRAINT pk_return_line PRIMARY KEY (return_id, position),
            CONSTRAINT ck_return_line_quantity CHECK (quantity > 0)
        )
    """)
    op.execute("CREATE INDEX ix_return_line_sku ON return_line (sku, reason)")
    op.execute("""
        CREATE TABLE receipt_line (
            return_id text NOT NULL,
            position integer NOT NULL,
            sku text NOT NULL,
            quantity integer NOT NULL,
            grade text NOT NULL,
            warehouse text NOT NULL,
            CONSTRAINT pk_receipt_line PRIMARY KEY (return_id, position),
            CONSTRAINT ck_receipt_line_quantity CHECK (quantity > 0),
            CONSTRAINT ck_receipt_line_grade CHECK (grade IN ('sellable', 'damaged', 'missing'))
        )
    """)
    op.execute("""
        CREATE TABLE ticket (
            id text NOT NULL,
            store_id text NOT NULL,
            order_id text,
            customer text NOT NULL,
            subject text NOT NULL,
            status text NOT NULL,
            messages integer NOT NULL,
            opened_at timestamptz NOT NULL,
            first_responded_at timestamptz,
            first_response_breached boolean NOT NULL,
            clock_stopped_at timestamptz,
            resolved_at timestamptz,
            CONSTRAINT pk_ticket PRIMARY KEY (id),
            CONSTRAINT ck_ticket_status CHECK (status IN ('open', 'resolved'))
        )
    """)
    op.execute("CREATE INDEX ix_ticket_list ON ticket (store_id, id)")
    op.execute("CREATE INDEX ix_ticket_order ON ticket (order_id)")
    op.execute("""
        CREATE TABLE ticket_message (
            ticket_id text NOT NULL,
            position integer NOT NULL,
            id text NOT NULL,
            author text NOT NULL,
            text text NOT NULL,
            written_at timestamptz NOT NULL,
            CONSTRAINT pk_ticket_message PRIMARY KEY (ticket_id, position),
            CONSTRAINT ck_ticket_message_author CHECK (author IN ('customer', 'staff'))
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE ticket_message")
    op.execute("DROP TABLE ticket")
    op.execute("DROP TABLE receipt_line")
    op.execute("DROP TABLE return_line")
    op.execute("DROP TABLE return_case")
    op.execute("DROP TABLE purchase")
